"""`CallInProgress`: knows the attempt in progress, for code that continues without a model call that fails."""

from msgspec.structs import replace

from reasoning_grpc.domain.errors import ReasoningError, UpstreamError
from reasoning_grpc.domain.events import ModelCallFailed, ModelCallFinished, ModelCallStarted


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
            failure,
            http_status=error.http_status,
            is_upstream_reached=error.is_upstream_reached and self._attempt.meter.was_sent(),
            usage=error.usage,
        )
