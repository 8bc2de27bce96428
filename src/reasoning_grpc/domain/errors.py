"""The failures that we expect and name. They know nothing of gRPC.

    ReasoningError
    |-- RequestError                 the caller can fix the request
    |   |-- MalformedRequest, InvalidRequest, RequestTooLarge, UnsupportedParameter
    |   |-- CredentialsMissing, CredentialsInvalid, ModelNotAllowed, RouteNotAllowed
    |   `-- ModelNotFound, RouteNotImplemented
    |-- ServerError                  this process cannot serve now
    |   `-- CallerLimitReached, ServerOverloaded, ServerShuttingDown
    `-- UpstreamError                the model call failed
        |-- UpstreamTimeout, UpstreamStalled
        |-- UpstreamUnreachable (UpstreamRestarting, UpstreamCircuitOpen, ModelsNotListed), UpstreamFailed
        |-- UpstreamOverloaded (UpstreamBusy)
        |-- UpstreamStreamTruncated, UpstreamParameterUnsupported
        |-- UpstreamRateLimited, UpstreamQuotaExhausted
        |-- UpstreamCredentialsRejected, UpstreamKeyRejected, UpstreamModelMissing
        |-- ContextWindowExceeded, ContentPolicyViolated, UpstreamRejectedRequest (UpstreamWireRefused)
        `-- UpstreamMalformedResponse, UpstreamEmptyResponse

Every sentence is fixed. Its variable parts are values in `metadata`, by the names that
the sentence uses. The first field violation or the nearest names follow it, because many
programs log the message alone. No part of an upstream's body, of a prompt or of a key gets in; the provider's own
sentence stands beside it, redacted, for the log and for operators who pass it on.
"""

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final

from reasoning_grpc.domain import Cost, RouteDecision, Usage, walk_chain

_LONGEST_VALUE = 128
_LONGEST_VIOLATION = 256
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Too many open files in this process, or on this machine, and too little memory for the system's buffers."""
SHORTAGE_RETRY_SECONDS: Final = 1.0
"""The time after which a process that is short of something may have enough of it again."""


class Retry(Enum):
    """The limit for retries after this failure. `llm/retries.py` retries a model call only before its first delta."""

    NEVER = 0
    ONCE = 1
    REPEATEDLY = 2


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A problem with a field of the request. The field is a path, such as "messages[2].content"."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a call before it failed."""

    response_id: str
    usage: Usage
    cost: Cost | None
    model_call_count: int
    attempt_count: int
    last_sequence: int
    content_characters: int
    has_sent_output: bool
    """Whether a delta or a tool event was sent; `started` does not count."""


class ReasoningError(Exception):
    """An outcome that we expect and name. `metadata` and `violations` hold each value that is in the message."""

    reason: ClassVar[str] = "REASONING_ERROR"
    sentence: ClassVar[str] = "The request could not be served."
    """How the message begins; `{name}` stands for the metadata value with that name."""

    def __init__(
        self, metadata: Mapping[str, str] | None = None, *, violations: tuple[FieldViolation, ...] = ()
    ) -> None:
        self.metadata = {name: _make_printable(value) for name, value in (metadata or {}).items()}
        self.violations = violations
        self.retry_after_seconds: float | None = None
        """The time after which the request may be sent again. None when it is not known."""
        self.progress: Progress | None = None
        """The progress of the call before it failed. The engine sets it when an upstream was reached."""
        super().__init__(" ".join(self._message_parts()))

    def _message_parts(self) -> Iterator[str]:
        yield self.sentence.format_map(_Values(self.metadata))
        if nearest := self.metadata.get("nearest"):
            yield f"The nearest names are: {nearest}."
        if self.violations:
            first = self.violations[0]
            yield _make_printable(f"{first.field}: {first.description}", _LONGEST_VIOLATION)


class RequestError(ReasoningError):
    """The caller can fix the request."""


class MalformedRequest(RequestError):
    """The request is not valid protobuf. The caller can fix it."""

    reason = "MALFORMED_REQUEST"
    sentence = "The request is not a valid protobuf message."


class InvalidRequest(RequestError):
    """Fields are missing, out of range or contradictory. `violations` names each of them."""

    reason = "INVALID_FIELD"
    sentence = "The request has invalid fields; see the field violations."


class RequestTooLarge(RequestError):
    """The request exceeds limits of this server. `violations` names each of them."""

    reason = "REQUEST_TOO_LARGE"
    sentence = "The request exceeds a limit of this server; see the field violations."


class UnsupportedParameter(RequestError):
    """The request has a parameter that the model does not support, or that this build does not serve."""

    reason = "UNSUPPORTED_PARAMETER"
    sentence = "The request has parameters that are not supported; see the field violations."


class CredentialsMissing(RequestError):
    """The caller sent no token, and the server requires one."""

    reason = "CREDENTIALS_MISSING"
    sentence = 'A token is required: send the metadata "authorization: Bearer TOKEN".'


class CredentialsInvalid(RequestError):
    """The server does not know the token."""

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
    """The caller requested a model that we do not serve. The metadata value `nearest` has similar names."""

    reason = "MODEL_NOT_FOUND"
    sentence = 'There is no model "{model}".'


class RouteNotImplemented(RequestError):
    """This server does not serve the route that the router chose, because an option switches it off."""

    reason = "ROUTE_NOT_IMPLEMENTED"
    sentence = 'This server does not serve the route "{route}".'

    def __init__(self, decision: RouteDecision) -> None:
        super().__init__({"route": decision.route})
        self.decision = decision


class ServerError(ReasoningError):
    """This process cannot serve the request now. Another process, or a later attempt, may serve it."""

    def __init__(self, metadata: Mapping[str, str] | None = None, *, retry_after_seconds: float) -> None:
        super().__init__(metadata)
        self.retry_after_seconds = retry_after_seconds


class CallerLimitReached(ServerError):
    """The caller has reached its own limit. It can wait, or the operator can raise the limit."""

    reason = "CALLER_LIMIT"
    sentence = 'The caller has reached its limit "{limit}", which is {maximum}.'

    def __init__(self, *, limit: str, maximum: str, retry_after_seconds: float) -> None:
        """`limit` is the name of the limit in the configuration, and `maximum` its value."""
        super().__init__({"limit": limit, "maximum": maximum}, retry_after_seconds=retry_after_seconds)


class ServerOverloaded(ServerError):
    """This process serves as many requests as it may, or it is short of files or memory."""

    reason = "SERVER_OVERLOADED"
    sentence = "The server is full."


class ServerShuttingDown(ServerError):
    """This process is shutting down."""

    reason = "SERVER_SHUTTING_DOWN"
    sentence = "The server is shutting down."


class UpstreamError(ReasoningError):
    """A model call failed. The metadata value `model` names the model in our table, if the failure is about one."""

    retry: ClassVar[Retry] = Retry.NEVER
    allows_fallback: ClassVar[bool] = True
    """Whether another model may be tried. It is false when the request itself is wrong."""
    is_about_request: ClassVar[bool] = False
    """Whether the provider's own sentence is about the request, so that it may help the caller."""

    def __init__(
        self,
        *,
        model: str,
        http_status: int = 0,
        retry_after_seconds: float | None = None,
        is_upstream_reached: bool = True,
        violations: tuple[FieldViolation, ...] = (),
        required_wire: str = "",
    ) -> None:
        metadata = {"model": model, "http_status": str(http_status or ""), "required_wire": required_wire}
        super().__init__({name: value for name, value in metadata.items() if value}, violations=violations)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.is_upstream_reached = is_upstream_reached
        """Whether the upstream received the request, so that the attempt may have a cost."""
        self.usage: Usage | None = None
        """Tokens that the attempt used, counted by the upstream or estimated. None when the adapter does not know."""
        self.upstream_message = ""
        """The provider's own sentence, redacted. Empty when there is none, or when nothing of it is safe to show."""


class UpstreamTimeout(UpstreamError):
    """The upstream took too long to begin or to finish its answer."""

    reason = "UPSTREAM_TIMEOUT"
    sentence = 'The upstream of the model "{model}" took too long.'


class UpstreamStalled(UpstreamError):
    """The upstream sent nothing more in the middle of an answer."""

    reason = "UPSTREAM_STALLED"
    sentence = 'The upstream of the model "{model}" stopped sending in the middle of the answer.'


class UpstreamUnreachable(UpstreamError):
    """The server could not connect to the upstream, or the connection broke. The operator can fix it."""

    reason = "UPSTREAM_UNREACHABLE"
    sentence = 'The upstream of the model "{model}" cannot be reached.'
    retry = Retry.REPEATEDLY


class UpstreamRestarting(UpstreamUnreachable):
    """The embedded model is restarting. It will answer in a moment."""

    sentence = 'The embedded model "{model}" is restarting.'


class UpstreamCircuitOpen(UpstreamUnreachable):
    """The upstream has failed too often, so no call goes to it before the next probe. Nothing was sent."""

    sentence = 'The upstream of the model "{model}" has failed too often, and is not called for a moment.'
    retry = Retry.NEVER

    def __init__(self, *, model: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(model=model, retry_after_seconds=retry_after_seconds, is_upstream_reached=False)


class ModelsNotListed(UpstreamUnreachable):
    """The LiteLLM proxy has never listed its models, so the server does not know whether the proxy has a model."""

    sentence = "The LiteLLM proxy has not listed its models yet."

    def __init__(self, *, model: str = "") -> None:
        super().__init__(model=model, is_upstream_reached=False)


class UpstreamFailed(UpstreamError):
    """The upstream reported that it failed."""

    reason = "UPSTREAM_ERROR"
    sentence = 'The upstream of the model "{model}" failed.'
    retry = Retry.REPEATEDLY


class UpstreamOverloaded(UpstreamError):
    """The upstream reported that it is overloaded."""

    reason = "UPSTREAM_OVERLOADED"
    sentence = 'The upstream of the model "{model}" is overloaded.'
    retry = Retry.REPEATEDLY


class UpstreamBusy(UpstreamOverloaded):
    """The upstream has all the calls in progress that it answers in time. Nothing was sent."""

    sentence = 'The upstream of the model "{model}" has too many calls in progress.'
    retry = Retry.NEVER

    def __init__(self, *, model: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(model=model, retry_after_seconds=retry_after_seconds, is_upstream_reached=False)


class UpstreamStreamTruncated(UpstreamError):
    """The upstream ended its stream without a finish reason."""

    reason = "UPSTREAM_STREAM_TRUNCATED"
    sentence = 'The upstream of the model "{model}" ended its stream without a finish reason.'
    retry = Retry.REPEATEDLY


class UpstreamRateLimited(UpstreamError):
    """The upstream limits the rate of requests. The caller may try again after the delay."""

    reason = "UPSTREAM_RATE_LIMITED"
    sentence = 'The upstream of the model "{model}" limits the rate of requests.'


class UpstreamQuotaExhausted(UpstreamError):
    """The quota or budget at the upstream is used up. The operator can fix it."""

    reason = "UPSTREAM_QUOTA_EXHAUSTED"
    sentence = 'The quota at the upstream of the model "{model}" is used up.'


class UpstreamCredentialsRejected(UpstreamError):
    """The upstream refused the server's own key. The operator can fix it."""

    reason = "UPSTREAM_CREDENTIALS_REJECTED"
    sentence = 'The upstream of the model "{model}" refused the server\'s key.'


class UpstreamKeyRejected(UpstreamError):
    """The upstream refused the key that is configured for the caller."""

    reason = "UPSTREAM_KEY_REJECTED"
    sentence = 'The upstream of the model "{model}" refused the caller\'s key.'
    allows_fallback = False


class UpstreamModelMissing(UpstreamError):
    """The upstream does not have a model that we list. The operator can fix it."""

    reason = "UPSTREAM_MODEL_MISSING"
    sentence = 'The upstream does not have the model "{model}".'


class ContextWindowExceeded(UpstreamError):
    """The conversation does not fit the model's context window."""

    reason = "CONTEXT_WINDOW_EXCEEDED"
    sentence = 'The conversation does not fit the context window of the model "{model}".'
    allows_fallback = False
    is_about_request = True


class ContentPolicyViolated(UpstreamError):
    """The provider's content policy refuses the conversation."""

    reason = "CONTENT_POLICY"
    sentence = 'The content policy of the model "{model}" refuses the conversation.'
    allows_fallback = False
    is_about_request = True


class UpstreamParameterUnsupported(UpstreamError):
    """The model does not support a parameter of the request. `violations` names the parameter when it is known."""

    reason = "UNSUPPORTED_PARAMETER"
    sentence = 'The model "{model}" does not support a parameter of the request.'
    allows_fallback = False
    is_about_request = True


class UpstreamRejectedRequest(UpstreamError):
    """The upstream refused the request for another reason."""

    reason = "UPSTREAM_REJECTED_REQUEST"
    sentence = 'The upstream of the model "{model}" refused the request.'
    allows_fallback = False
    is_about_request = True


class UpstreamWireRefused(UpstreamRejectedRequest):
    """The provider takes the request only at another endpoint. The metadata value `required_wire` names it.

    The operator can fix the model's entry, and another model may take the request as it is.
    """

    sentence = 'The upstream of the model "{model}" takes the request only at another endpoint.'
    allows_fallback = True


class UpstreamMalformedResponse(UpstreamError):
    """The upstream sent an answer that does not follow its protocol."""

    reason = "UPSTREAM_MALFORMED_RESPONSE"
    sentence = 'The upstream of the model "{model}" sent a malformed answer.'
    retry = Retry.ONCE


class UpstreamEmptyResponse(UpstreamError):
    """The upstream sent an empty answer."""

    reason = "UPSTREAM_EMPTY_RESPONSE"
    sentence = 'The upstream of the model "{model}" sent an empty answer.'
    retry = Retry.ONCE


def find_shortage(exc: BaseException) -> ServerOverloaded | None:
    """Returns the error for an exception that comes from a shortage of files or memory; None for any other.

    A shortage is one of this process or machine, so it says nothing about an upstream, and is no bug.
    """
    if any(map(_is_shortage, walk_chain(exc))):
        return ServerOverloaded(retry_after_seconds=SHORTAGE_RETRY_SECONDS)
    return None


def _is_shortage(exc: BaseException) -> bool:
    return isinstance(exc, MemoryError) or (isinstance(exc, OSError) and exc.errno in _SHORTAGES)


class _Values(dict[str, str]):
    """Values for a sentence. A question mark takes the place of a missing value."""

    def __missing__(self, name: str) -> str:
        return "?"


def _make_printable(value: str, longest: int = _LONGEST_VALUE) -> str:
    """Returns the value, printable and short enough for a header, a log line and a status of 4 KB."""
    printable = "".join(character if character.isprintable() else "?" for character in value[: longest + 1])
    return printable if len(printable) <= longest else printable[: longest - 3] + "..."
