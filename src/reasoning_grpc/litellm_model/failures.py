"""Whatever went wrong in a model call -> our errors: the table.

An exception is read along its whole chain, most certain knowledge first: an error of
ours, what the wire saw, then litellm's class. litellm's class alone misleads, since
it wraps everything that our client raises as `InternalServerError` or `APIError`.
Bodies of upstreams are looked at, for codes and a few phrases, and never kept.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import httpx
import msgspec

from reasoning_grpc.domain import Deployment
from reasoning_grpc.domain.errors import (
    ContentPolicyViolated,
    ContextWindowExceeded,
    FieldViolation,
    ReasoningError,
    UpstreamCredentialsRejected,
    UpstreamEmptyResponse,
    UpstreamError,
    UpstreamFailed,
    UpstreamKeyRejected,
    UpstreamMalformedResponse,
    UpstreamModelMissing,
    UpstreamOverloaded,
    UpstreamParameterUnsupported,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejectedRequest,
    UpstreamStreamTruncated,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.request import FIELD_OF_PARAMETER
from reasoning_grpc.litellm_model.transport.exchange import AnswerTooLarge, HttpFailure
from reasoning_grpc.litellm_model.transport.sse import MalformedStream

MAX_RETRY_AFTER_SECONDS: Final = 300.0
"""A longer Retry-After is passed on as this."""


@dataclass(frozen=True, slots=True)
class Row:
    """A way in which upstreams say that something is wrong: any code or phrase, under any of the statuses."""

    error: type[UpstreamError]
    codes: frozenset[str] = frozenset()
    """Values of `code`, `type`, `status` or a detail's `reason` in the body, in lower case."""
    phrases: re.Pattern[str] | None = None
    """Words in the body's message."""
    statuses: frozenset[int] | None = None
    """None: any status."""

    def fits(self, status: int, body: "ErrorBody") -> bool:
        """Whether this row describes the failure; the status is 0 where the upstream named none."""
        if status and self.statuses is not None and status not in self.statuses:
            return False
        return bool(self.codes & body.codes) or bool(self.phrases and self.phrases.search(body.message))


BY_BODY: Final = (
    Row(
        UpstreamQuotaExhausted,
        frozenset(
            {"insufficient_quota", "budget_exceeded", "billing_hard_limit_reached", "billing_not_active"}
            | {"insufficient_balance", "credit_balance_too_low", "billing_disabled"}
        ),
        re.compile(
            r"budget has been exceeded|exceededbudget|credit balance is too low"
            r"|reached your specified api usage limits",
            re.IGNORECASE,
        ),
    ),
    Row(UpstreamCredentialsRejected, frozenset({"no_db_connection", "api_key_invalid"}), statuses=frozenset({400})),
    Row(
        ContextWindowExceeded,
        frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}),
        re.compile(
            r"maximum context length|context[ _]window|context[ _]length|context size|context limit|prompt is too long"
            r"|input token count|input (is )?too long|maximum model length"
            r"|exceeds? the (maximum|available) (number of tokens|context)",
            re.IGNORECASE,
        ),
        frozenset({400, 413, 422}),
    ),
    Row(
        ContentPolicyViolated,
        frozenset({"content_policy_violation", "content_filter", "responsibleaipolicyviolation"})
        | {"guardrail_violation", "guardrail_intervened"},
        re.compile(r"content management policy|content policy|content filter|guardrail", re.IGNORECASE),
        frozenset({400, 403, 422}),
    ),
    Row(
        UpstreamModelMissing,
        frozenset({"model_not_found", "model_not_found_error", "deploymentnotfound"}),
        re.compile(r"invalid model name|model .{0,80}does not exist", re.IGNORECASE),
        frozenset({400, 404}),
    ),
    Row(
        UpstreamParameterUnsupported,
        frozenset({"unsupported_parameter", "unknown_parameter", "unsupported_value", "unsupported_params_error"}),
        re.compile(
            r"unsupported parameter|unrecognized request argument|does not support parameters"
            r"|extra inputs are not permitted|invalid json payload received. unknown name",
            re.IGNORECASE,
        ),
        frozenset({400, 422}),
    ),
)
"""What a body says, looked at before the status."""

BY_STATUS: Final[Mapping[int, type[UpstreamError]]] = {
    400: UpstreamRejectedRequest,
    401: UpstreamCredentialsRejected,
    402: UpstreamQuotaExhausted,
    403: UpstreamCredentialsRejected,
    404: UpstreamModelMissing,
    408: UpstreamTimeout,
    409: UpstreamFailed,
    413: ContextWindowExceeded,
    422: UpstreamRejectedRequest,
    424: UpstreamFailed,
    429: UpstreamRateLimited,
    500: UpstreamFailed,
    502: UpstreamFailed,
    503: UpstreamOverloaded,
    504: UpstreamTimeout,
    529: UpstreamOverloaded,
}
"""What a status says; any other 4xx is a refusal, 5xx or none a failure, and the rest no answer of the protocol."""

NOT_CONNECTED: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.ConnectError,
    httpx.ConnectTimeout,
)
"""Failures after which the upstream cannot have got the request."""

BROKEN_READS: Final = (aiohttp.ClientError, ConnectionError)
"""What a read raises when the connection breaks."""

BY_ERROR_TYPE: Final[Mapping[str, int]] = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "overloaded_error": 529,
    "overloaded": 529,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "invalid_request_error": 400,
    "timeout_error": 504,
    "api_error": 500,
    "billing_error": 402,
    "request_too_large": 413,
    "invalid_argument": 400,
    "failed_precondition": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "resource_exhausted": 429,
    "internal": 500,
    "unavailable": 503,
    "deadline_exceeded": 504,
}
"""The status that an error inside an answer amounts to, by its type or Google's status, when it names no number."""

BY_EXCEPTION: Final[tuple[tuple[type[BaseException], type[UpstreamError]], ...]] = (
    (MalformedStream, UpstreamMalformedResponse),
    (MalformedAnswer, UpstreamMalformedResponse),
    (AnswerTooLarge, UpstreamMalformedResponse),
    (aiohttp.ClientPayloadError, UpstreamUnreachable),
    (aiohttp.ClientConnectionError, UpstreamUnreachable),
    (aiohttp.InvalidURL, UpstreamUnreachable),
    (aiohttp.ClientError, UpstreamMalformedResponse),
    (ConnectionError, UpstreamUnreachable),
    (httpx.ConnectTimeout, UpstreamUnreachable),
    (httpx.TimeoutException, UpstreamTimeout),
    (httpx.TransportError, UpstreamUnreachable),
    (httpx.RequestError, UpstreamMalformedResponse),
)
"""What the wire raises, and what litellm's own connections do; most specific first."""

BY_LITELLM_CLASS: Final[Mapping[str, type[UpstreamError] | None]] = {
    "UnsupportedParamsError": UpstreamParameterUnsupported,
    "ContextWindowExceededError": ContextWindowExceeded,
    "ContentPolicyViolationError": ContentPolicyViolated,
    "RejectedRequestError": ContentPolicyViolated,
    "GuardrailRaisedException": ContentPolicyViolated,
    "BlockedPiiEntityError": ContentPolicyViolated,
    "ModifyResponseException": ContentPolicyViolated,
    "SensitiveDataRouteException": ContentPolicyViolated,
    "BudgetExceededError": UpstreamQuotaExhausted,
    "PaymentRequiredError": UpstreamQuotaExhausted,
    "AuthenticationError": UpstreamCredentialsRejected,
    "PermissionDeniedError": UpstreamCredentialsRejected,
    "NotFoundError": UpstreamModelMissing,
    "ModelNotMappedError": UpstreamModelMissing,
    "LiteLLMUnknownProvider": UpstreamModelMissing,
    "Timeout": UpstreamTimeout,
    "RateLimitError": UpstreamRateLimited,
    "ServiceUnavailableError": UpstreamOverloaded,
    "BadGatewayError": UpstreamFailed,
    "ImageFetchError": UpstreamRejectedRequest,
    "VectorStoreSearchError": UpstreamRejectedRequest,
    "UnprocessableEntityError": UpstreamRejectedRequest,
    "BadRequestError": UpstreamRejectedRequest,
    "InvalidRequestError": UpstreamRejectedRequest,
    "JSONSchemaValidationError": UpstreamMalformedResponse,
    "APIResponseValidationError": UpstreamMalformedResponse,
    # These say nothing by themselves: their status decides, and without one they are failures.
    "MidStreamFallbackError": None,
    "InternalServerError": None,
    "APIError": None,
    "APIConnectionError": None,
    "OpenAIError": None,
    "MockException": None,
}
"""litellm's exceptions, by name, for what no row above explains; a class not listed takes its nearest base's row."""

_NAMED_PARAMETERS: Final = re.compile(r"'(\w+)'|\b(\w+)=")
"""How litellm's texts name the parameters that a model does not take."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What an error's body says, in the shapes seen in the field; all of it optional."""

    codes: frozenset[str] = frozenset()
    message: str = ""
    parameter: str = ""
    status: int = 0
    retry_delay: str = ""
    """In how many seconds to come back, as Google says it beside the error."""

    @classmethod
    def parse(cls, body: bytes) -> "ErrorBody":
        """Of a response's body; empty when it is not JSON of a known shape."""
        try:
            decoded = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            return cls()
        if isinstance(decoded, list) and decoded:
            decoded = decoded[0]  # as Google answers a stream that was not asked for as events
        if not isinstance(decoded, dict):
            return cls()
        return cls.of(decoded.get("error") or decoded.get("detail") or decoded)

    @classmethod
    def of(cls, error: object) -> "ErrorBody":
        """Of the error itself: an object, or only its message."""
        if isinstance(error, str):
            return cls(message=error)
        if not isinstance(error, dict):
            return cls()
        details = error.get("details")
        details = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
        words = [error.get(key) for key in ("code", "type", "status")] + [detail.get("reason") for detail in details]
        codes = frozenset(word.lower() for word in words if isinstance(word, str))
        delays = [detail.get("retryDelay") for detail in details]
        message, parameter = error.get("message"), error.get("param")
        return cls(
            codes=codes,
            message=message if isinstance(message, str) else "",
            parameter=parameter if isinstance(parameter, str) else "",
            status=_status_of(error, codes),
            retry_delay=next((delay for delay in delays if isinstance(delay, str)), "").removesuffix("s"),
        )


def upstream_error(exc: BaseException, deployment: Deployment, *, reached: bool) -> ReasoningError | None:
    """The error of ours that says what went wrong in a call of this deployment; None for what nobody foresaw.

    `reached` says whether the upstream got the request, as far as the wire knows.
    """
    chain = list(_chain(exc))
    for link in chain:
        if isinstance(link, ReasoningError):
            return link
        if isinstance(link, HttpFailure):
            return _of_http(link.status, link.headers, ErrorBody.parse(link.body), deployment)
        if isinstance(link, ErrorInAnswer):
            body = ErrorBody.of(link.error)
            return _of_http(body.status, {}, body, deployment)
        if (response := _foreign_response(link)) is not None:
            return _of_http(response.status_code, response.headers, _foreign_body(link, response), deployment)
    for link in chain:
        for exception_class, error_class in BY_EXCEPTION:
            if isinstance(link, exception_class):
                return error_class(model=deployment.name, reached=reached or not isinstance(link, NOT_CONNECTED))
    if reached and any(isinstance(link, json.JSONDecodeError | UnicodeDecodeError) for link in chain):
        return UpstreamMalformedResponse(model=deployment.name)  # by a reader that is not ours
    return _of_litellm(chain, deployment, reached)


def empty_response(deployment: Deployment) -> UpstreamError:
    """The upstream answered nothing at all."""
    return UpstreamEmptyResponse(model=deployment.name)


def truncated_stream(deployment: Deployment) -> UpstreamError:
    """The upstream's stream ended without a finish reason."""
    return UpstreamStreamTruncated(model=deployment.name)


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """When the upstream wants to be asked again, in seconds from now, at most `MAX_RETRY_AFTER_SECONDS`.

    Takes a number or an HTTP date (RFC 9110, section 10.2.3), and what a LiteLLM proxy makes of the
    header. None when nothing usable is there.
    """
    for name in ("retry-after", "llm_provider-retry-after"):
        text = headers.get(name)
        if text is None:
            continue
        seconds = _seconds(text.strip(), now)
        if seconds is not None and seconds >= 0:
            return min(seconds, MAX_RETRY_AFTER_SECONDS)
    return None


def _of_http(status: int, headers: Mapping[str, str], body: ErrorBody, deployment: Deployment) -> UpstreamError:
    error_class = next((row.error for row in BY_BODY if row.fits(status, body)), None) or _by_status(status)
    if error_class is UpstreamCredentialsRejected and deployment.key_is_callers:
        error_class = UpstreamKeyRejected
    timed = error_class in (UpstreamRateLimited, UpstreamFailed, UpstreamOverloaded)
    return error_class(
        model=deployment.name,
        http_status=status,
        retry_after_seconds=_told_delay(headers, body) if timed else None,
        violations=_violations(error_class, [body.parameter]),
    )


def _told_delay(headers: Mapping[str, str], body: ErrorBody) -> float | None:
    now = datetime.now(UTC)
    in_headers = retry_after_seconds(headers, now)
    return retry_after_seconds({"retry-after": body.retry_delay}, now) if in_headers is None else in_headers


def _by_status(status: int) -> type[UpstreamError]:
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 400 <= status < 500:
        return UpstreamRejectedRequest
    return UpstreamFailed if status == 0 or 500 <= status < 600 else UpstreamMalformedResponse


def _of_litellm(chain: list[BaseException], deployment: Deployment, reached: bool) -> UpstreamError | None:
    for link in chain:
        error_class = _row_of(type(link))
        if error_class is not None:
            names = _NAMED_PARAMETERS.findall(str(getattr(link, "message", ""))[:2000])
            violations = _violations(error_class, [quoted or assigned for quoted, assigned in names])
            return error_class(model=deployment.name, reached=reached, violations=violations)
    if not all(_is_foreseen(type(link)) for link in chain):
        return None  # a fault of ours or of litellm's, which litellm dresses up as an error of the upstream
    status = next((status for link in chain if (status := _attribute_status(link))), 0)
    if status:
        return _by_status(status)(model=deployment.name, http_status=status, reached=reached)
    return UpstreamFailed(model=deployment.name, reached=reached)


def _foreign_response(exc: BaseException) -> httpx.Response | None:
    """The upstream's own answer in an exception of litellm's connections; litellm's exceptions hold made-up ones."""
    is_sdks = type(exc).__module__.partition(".")[0] == "openai"
    response = getattr(exc, "response", None) if is_sdks or isinstance(exc, httpx.HTTPStatusError) else None
    return response if isinstance(response, httpx.Response) and response.status_code >= 300 else None


def _foreign_body(exc: BaseException, response: httpx.Response) -> ErrorBody:
    """What such an answer says; the SDK has read it already, and keeps the error in it."""
    if error := getattr(exc, "body", None):
        return ErrorBody.of(error)
    return ErrorBody.parse(response.content) if response.is_closed or response.is_stream_consumed else ErrorBody()


def _row_of(exception_class: type[BaseException]) -> type[UpstreamError] | None:
    for base in exception_class.__mro__:
        if _is_litellms(base) and base.__name__ in BY_LITELLM_CLASS:
            return BY_LITELLM_CLASS[base.__name__]
    return None


def _is_foreseen(exception_class: type[BaseException]) -> bool:
    """Whether an exception can come from an upstream: of litellm or its HTTP client, or of the network."""
    library_of = exception_class.__module__.partition(".")[0]
    return library_of in {"litellm", "openai", "httpx", "httpcore"} or issubclass(exception_class, OSError)


def _is_litellms(exception_class: type[BaseException]) -> bool:
    return exception_class.__module__.partition(".")[0] in {"litellm", "openai"}


def _attribute_status(exc: BaseException) -> int:
    """The `status_code` of an exception, which may be absent or of another type."""
    status = _whole(getattr(exc, "status_code", None))
    return status if 300 <= status < 600 else 0


def _violations(error_class: type[UpstreamError], parameters: list[str]) -> tuple[FieldViolation, ...]:
    if error_class is not UpstreamParameterUnsupported:
        return ()
    names = [re.split(r"[.\[]", parameter)[0] for parameter in parameters]  # of "tools[0].function.strict", too
    fields = dict.fromkeys(FIELD_OF_PARAMETER[name] for name in names if name in FIELD_OF_PARAMETER)
    return tuple(FieldViolation(field, "The model does not take it.") for field in fields)


def _status_of(error: Mapping[str, Any], codes: frozenset[str]) -> int:
    for key in ("status", "status_code", "code"):
        status = _whole(error.get(key))
        if 400 <= status < 600:
            return status
    return next((BY_ERROR_TYPE[code] for code in sorted(codes) if code in BY_ERROR_TYPE), 0)


def _whole(value: object) -> int:
    """A status, which some write as text; 0 when it is none."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{3}", value):
        return int(value)
    return value if isinstance(value, int) else 0


def _seconds(text: str, now: datetime) -> float | None:
    if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception and everything it came from, each once."""
    seen: set[int] = set()
    pending: list[object] = [exc]
    while pending:
        link = pending.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending += [getattr(link, "original_exception", None), link.__cause__, link.__context__]
