"""The passthrough path: one model call as events."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from reasoning_grpc.events import AttemptSwitched, Event, ModelCallFinished, ModelCallStarted, ModelFinished
from reasoning_grpc.model import LanguageModel, ModelCall
from reasoning_grpc.types import CallContext, CompletionRequest, ModelCallPurpose


async def events_of_call(
    model: LanguageModel, call: ModelCall, purpose: ModelCallPurpose, context: CallContext
) -> AsyncGenerator[Event, None]:
    """One model call: `ModelCallStarted` before each attempt, its deltas, `ModelCallFinished` last."""
    attempt = 1
    yield ModelCallStarted(purpose, call.model)
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
                    )
                case AttemptSwitched():
                    attempt = event.attempt
                    yield event
                    yield ModelCallStarted(purpose, event.to_model, attempt)
                case delta:
                    yield delta


def answering_call(request: CompletionRequest, model: str, fallback_models: tuple[str, ...]) -> ModelCall:
    """The model call that answers a request directly."""
    return ModelCall(
        model=model,
        messages=request.messages,
        sampling=request.sampling,
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=request.response_format,
        reasoning=request.reasoning,
        end_user=request.end_user,
        provider_options=dict(request.provider_options),
        fallback_models=fallback_models,
    )
