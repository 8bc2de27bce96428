"""What can go wrong, in our words, without gRPC.

    ReasoningError
    |-- RequestError                 the caller can mend the request
    |   |-- MalformedRequest, InvalidRequest, RequestTooLarge, UnsupportedParameter
    |   |-- CredentialsMissing, CredentialsInvalid, ModelNotAllowed, RouteNotAllowed
    |   `-- ModelNotFound, RouteNotImplemented
    |-- ServerError                  this process cannot serve now
    |   `-- CallerLimitReached, ServerOverloaded, ServerShuttingDown
    `-- UpstreamError                the model call failed
        |-- UpstreamTimeout, UpstreamStalled
        |-- UpstreamUnreachable (UpstreamRestarting, ModelsNotListed), UpstreamFailed, UpstreamOverloaded
        |-- UpstreamStreamTruncated, UpstreamParameterUnsupported
        |-- UpstreamRateLimited, UpstreamQuotaExhausted
        |-- UpstreamCredentialsRejected, UpstreamKeyRejected, UpstreamModelMissing
        |-- ContextWindowExceeded, ContentPolicyViolated, UpstreamRejectedRequest
        `-- UpstreamMalformedResponse, UpstreamEmptyResponse

Every sentence is fixed; what varies stands in `metadata`, under the name it has
in the sentence. Nothing of an upstream's body, of a prompt or of a key gets in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from reasoning_grpc.domain import Cost, RouteDecision, Usage

_LONGEST_VALUE = 128


class Retry(Enum):
    """Whether `resilience` attempts a model call again after this failure, before its first delta."""

    NEVER = 0
    ONCE = 1
    YES = 2


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, as a path such as "messages[2].content", and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a failed call had come."""

    response_id: str
    usage: Usage
    cost: Cost | None
    model_call_count: int
    attempt_count: int
    last_sequence: int
    content_characters: int
    anything_sent: bool
    """Whether a delta or a tool event was produced; `started` does not count."""


class ReasoningError(Exception):
    """An outcome we expect and name; `metadata` holds each value in the message."""

    reason: ClassVar[str] = "REASONING_ERROR"
    sentence: ClassVar[str] = "The request could not be served."
    """The message; `{name}` stands for the metadata value of that name."""

    def __init__(
        self, metadata: Mapping[str, str] | None = None, *, violations: tuple[FieldViolation, ...] = ()
    ) -> None:
        self.metadata = {name: _printable(value) for name, value in (metadata or {}).items()}
        self.violations = violations
        self.retry_after_seconds: float | None = None
        """When to try again, where we know."""
        self.progress: Progress | None = None
        """Set by the engine when an upstream was reached."""
        super().__init__(self.sentence.format_map(_Named(self.metadata)))


class RequestError(ReasoningError):
    """The caller can mend the request."""


class MalformedRequest(RequestError):
    """The message is not valid protobuf."""

    reason = "MALFORMED_REQUEST"
    sentence = "The request is not a valid protobuf message."


class InvalidRequest(RequestError):
    """Fields are missing, out of range or contradictory; `violations` names each."""

    reason = "INVALID_FIELD"
    sentence = "The request has invalid fields; see the field violations."


class RequestTooLarge(RequestError):
    """The request is over one of our own caps; `violations` names each."""

    reason = "REQUEST_TOO_LARGE"
    sentence = "The request is over a cap of this server; see the field violations."


class UnsupportedParameter(RequestError):
    """A parameter that the model does not take, or that this build does not serve."""

    reason = "UNSUPPORTED_PARAMETER"
    sentence = "The request has parameters that are not supported; see the field violations."


class CredentialsMissing(RequestError):
    """No token was given, and the server asks for one."""

    reason = "CREDENTIALS_MISSING"
    sentence = 'A token is required: send the metadata "authorization: Bearer TOKEN".'


class CredentialsInvalid(RequestError):
    """The token is not one of ours."""

    reason = "CREDENTIALS_INVALID"
    sentence = "The token is not valid."


class ModelNotAllowed(RequestError):
    """The caller may not use this model."""

    reason = "MODEL_NOT_ALLOWED"
    sentence = 'The caller may not use the model "{model}".'


class RouteNotAllowed(RequestError):
    """The caller may not use this route."""

    reason = "ROUTE_NOT_ALLOWED"
    sentence = 'The caller may not use the route "{route}".'


class ModelNotFound(RequestError):
    """The caller asked for a model we do not serve; metadata `nearest` has similar names."""

    reason = "MODEL_NOT_FOUND"
    sentence = 'There is no model "{model}".'


class RouteNotImplemented(RequestError):
    """This build does not serve the route that was decided."""

    reason = "ROUTE_NOT_IMPLEMENTED"
    sentence = 'This build does not serve the route "{route}".'

    def __init__(self, decision: RouteDecision) -> None:
        super().__init__({"route": decision.route})
        self.decision = decision


class ServerError(ReasoningError):
    """This process cannot serve now; another, or a later try, may."""

    def __init__(self, *, retry_after_seconds: float) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class CallerLimitReached(ServerError):
    """The caller is over its own limit."""

    reason = "CALLER_LIMIT"
    sentence = "The caller is over its limit."


class ServerOverloaded(ServerError):
    """This process is full."""

    reason = "SERVER_OVERLOADED"
    sentence = "The server is full."


class ServerShuttingDown(ServerError):
    """This process is stopping."""

    reason = "SERVER_SHUTTING_DOWN"
    sentence = "The server is shutting down."


class UpstreamError(ReasoningError):
    """A model call failed; metadata `model` names the model in our table, if it is about one."""

    retry: ClassVar[Retry] = Retry.NEVER
    fallback: ClassVar[bool] = True
    """Whether another model may be tried: not when the request itself is at fault."""

    def __init__(
        self,
        *,
        model: str,
        http_status: int = 0,
        retry_after_seconds: float | None = None,
        reached: bool = True,
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        metadata = {"model": model, "http_status": str(http_status or "")}
        super().__init__({name: value for name, value in metadata.items() if value}, violations=violations)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.reached = reached
        """Whether the upstream got the request, so that money may have been spent."""
        self.usage: Usage | None = None
        """What the attempt used, where the adapter knows: the upstream's count, or an estimate."""


class UpstreamTimeout(UpstreamError):
    """The upstream was too slow to begin or to finish."""

    reason = "UPSTREAM_TIMEOUT"
    sentence = 'The upstream of the model "{model}" took too long.'


class UpstreamStalled(UpstreamError):
    """The upstream fell silent in the middle of an answer."""

    reason = "UPSTREAM_STALLED"
    sentence = 'The upstream of the model "{model}" fell silent in the middle of the answer.'


class UpstreamUnreachable(UpstreamError):
    """No connection to the upstream, or it broke; the operator can mend it."""

    reason = "UPSTREAM_UNREACHABLE"
    sentence = 'The upstream of the model "{model}" cannot be reached.'
    retry = Retry.YES


class UpstreamRestarting(UpstreamUnreachable):
    """The embedded model is starting again; it will answer in a moment."""

    sentence = 'The embedded model "{model}" is restarting.'
    retry = Retry.NEVER


class ModelsNotListed(UpstreamUnreachable):
    """A LiteLLM proxy has never listed its models, so that nobody knows whether it has the one asked for, if any."""

    sentence = "The LiteLLM proxy has not listed its models yet."

    def __init__(self, *, model: str = "") -> None:
        super().__init__(model=model, reached=False)


class UpstreamFailed(UpstreamError):
    """The upstream failed by its own account."""

    reason = "UPSTREAM_ERROR"
    sentence = 'The upstream of the model "{model}" failed.'
    retry = Retry.YES


class UpstreamOverloaded(UpstreamError):
    """The upstream is overloaded by its own account."""

    reason = "UPSTREAM_OVERLOADED"
    sentence = 'The upstream of the model "{model}" is overloaded.'
    retry = Retry.YES


class UpstreamStreamTruncated(UpstreamError):
    """The upstream's stream ended without a finish reason."""

    reason = "UPSTREAM_STREAM_TRUNCATED"
    sentence = 'The upstream of the model "{model}" ended its stream without a finish reason.'
    retry = Retry.YES


class UpstreamRateLimited(UpstreamError):
    """The upstream limits the rate; the caller may try again after the delay."""

    reason = "UPSTREAM_RATE_LIMITED"
    sentence = 'The upstream of the model "{model}" limits the rate.'


class UpstreamQuotaExhausted(UpstreamError):
    """The upstream's quota or budget is used up; the operator can mend it."""

    reason = "UPSTREAM_QUOTA_EXHAUSTED"
    sentence = 'The quota at the upstream of the model "{model}" is used up.'


class UpstreamCredentialsRejected(UpstreamError):
    """The upstream refused the server's own key; the operator can mend it."""

    reason = "UPSTREAM_CREDENTIALS_REJECTED"
    sentence = 'The upstream of the model "{model}" refused the server\'s key.'


class UpstreamKeyRejected(UpstreamError):
    """The upstream refused the key configured for the caller."""

    reason = "UPSTREAM_KEY_REJECTED"
    sentence = 'The upstream of the model "{model}" refused the caller\'s key.'
    fallback = False


class UpstreamModelMissing(UpstreamError):
    """The upstream does not have a model that we list; the operator can mend it."""

    reason = "UPSTREAM_MODEL_MISSING"
    sentence = 'The upstream does not have the model "{model}".'


class ContextWindowExceeded(UpstreamError):
    """The conversation does not fit the model's context window."""

    reason = "CONTEXT_WINDOW_EXCEEDED"
    sentence = 'The conversation does not fit the context window of the model "{model}".'
    fallback = False


class ContentPolicyViolated(UpstreamError):
    """The provider's content policy refuses the conversation."""

    reason = "CONTENT_POLICY"
    sentence = 'The content policy of the model "{model}" refuses the conversation.'
    fallback = False


class UpstreamParameterUnsupported(UpstreamError):
    """The model does not take a parameter of the request; `violations` names it where known."""

    reason = "UNSUPPORTED_PARAMETER"
    sentence = 'The model "{model}" does not take a parameter of the request.'
    fallback = False


class UpstreamRejectedRequest(UpstreamError):
    """The upstream refused the request for another reason."""

    reason = "UPSTREAM_REJECTED_REQUEST"
    sentence = 'The upstream of the model "{model}" refused the request.'
    fallback = False


class UpstreamMalformedResponse(UpstreamError):
    """The upstream answered something that is not its protocol."""

    reason = "UPSTREAM_MALFORMED_RESPONSE"
    sentence = 'The upstream of the model "{model}" sent a malformed answer.'
    retry = Retry.ONCE


class UpstreamEmptyResponse(UpstreamError):
    """The upstream answered nothing at all."""

    reason = "UPSTREAM_EMPTY_RESPONSE"
    sentence = 'The upstream of the model "{model}" sent an empty answer.'
    retry = Retry.ONCE


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return "?"


def _printable(value: str) -> str:
    """The value, fit for a header, a log line and a 4 KB status: printable, and not long."""
    shown = "".join(character if character.isprintable() else "?" for character in value[: _LONGEST_VALUE + 1])
    return shown if len(shown) <= _LONGEST_VALUE else shown[: _LONGEST_VALUE - 3] + "..."
