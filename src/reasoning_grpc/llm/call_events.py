"""One model call as events, whatever it is for, and what is told of one that failed."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from reasoning_grpc.domain import CallContext, ModelCallPurpose
from reasoning_grpc.domain.errors import ReasoningError, UpstreamError
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Event,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    ModelFinished,
)
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimated_prompt_tokens


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


class CallUnderWay:
    """Which attempt at a model call is under way, for those who go on without it when it fails."""

    def __init__(self) -> None:
        self._attempt: ModelCallStarted | None = None

    def note(self, event: object) -> None:
        """Takes an event, whatever it is."""
        match event:
            case ModelCallStarted():
                self._attempt = event
            case ModelCallFinished() | ModelCallFailed():
                self._attempt = None
            case _:
                pass

    def failed(self, error: ReasoningError) -> ModelCallFailed | None:
        """What to tell of the attempt under way after this error; None when none is."""
        if self._attempt is None:
            return None
        failed = ModelCallFailed(self._attempt.purpose, self._attempt.model, self._attempt.attempt, error.reason)
        if not isinstance(error, UpstreamError):
            return failed
        return replace(failed, http_status=error.http_status, reached=error.reached, usage=error.usage)
