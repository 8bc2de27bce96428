"""One model call as events, whatever it is for."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from reasoning_grpc.events import AttemptSwitched, Event, ModelCallFinished, ModelCallStarted, ModelFinished
from reasoning_grpc.model import LanguageModel, ModelCall, estimated_prompt_tokens
from reasoning_grpc.types import CallContext, ModelCallPurpose


async def events_of_call(
    model: LanguageModel, call: ModelCall, purpose: ModelCallPurpose, context: CallContext
) -> AsyncGenerator[Event, None]:
    """One model call: `ModelCallStarted` before each attempt, its deltas, `ModelCallFinished` last."""
    attempt, input_tokens = 1, estimated_prompt_tokens(call)
    yield ModelCallStarted(purpose, call.model, attempt, input_tokens)
    async with aclosing(model.stream(call, context)) as events:
        async for event in events:
            match event:
                case ModelFinished():
                    yield ModelCallFinished(
                        purpose,
                        event.model,
                        attempt,
                        event.finish_reason,
                        event.provider_finish_reason,
                        event.usage,
                        event.upstream_seconds,
                        call.omitted_messages,
                        call.omitted_tokens,
                    )
                case AttemptSwitched():
                    attempt = event.attempt
                    yield event
                    yield ModelCallStarted(purpose, event.to_model, attempt, input_tokens)
                case delta:
                    yield delta
