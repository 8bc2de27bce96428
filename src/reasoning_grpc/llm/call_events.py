"""Converts one model call to events of a request, whatever its purpose, and a failed one to `ModelCallFailed`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, ModelCallPurpose, UsageMeter
from reasoning_grpc.domain.errors import ReasoningError, UpstreamError
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Event,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    ModelFinished,
)
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimate_prompt_tokens


async def stream_call(
    model: LanguageModel, call: ModelCall, purpose: ModelCallPurpose, context: CallContext
) -> AsyncGenerator[Event, None]:
    """Yields `ModelCallStarted` before each attempt at the call, then its deltas, and `ModelCallFinished` last."""
    attempt, input_tokens, meter = 1, estimate_prompt_tokens(call), UsageMeter()
    yield ModelCallStarted(purpose, call.model, attempt, input_tokens, meter)
    async with aclosing(model.stream(call, replace(context, meter=meter))) as events:
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
                    attempt = event.next_attempt
                    yield event
                    meter.reset()
                    yield ModelCallStarted(purpose, event.to_model, attempt, input_tokens, meter)
                case delta:
                    yield delta


class CallInProgress:
    """Knows the attempt in progress, for code that continues without the model call when it fails."""

    def __init__(self) -> None:
        self._attempt: ModelCallStarted | None = None

    def record(self, event: object) -> None:
        """Records an event; only those of model calls matter."""
        match event:
            case ModelCallStarted():
                self._attempt = event
            case ModelCallFinished() | ModelCallFailed():
                self._attempt = None
            case _:
                pass

    def build_failure(self, error: ReasoningError) -> ModelCallFailed | None:
        """Returns the event of the attempt that this error ended; None when no attempt is in progress."""
        if self._attempt is None:
            return None
        failure = ModelCallFailed(self._attempt.purpose, self._attempt.model, self._attempt.attempt, error.reason)
        if not isinstance(error, UpstreamError):
            return failure
        return replace(
            failure, http_status=error.http_status, is_upstream_reached=error.is_upstream_reached, usage=error.usage
        )
