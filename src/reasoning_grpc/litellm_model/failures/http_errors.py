"""Converts an HTTP status with a body to an error of ours: first by what the body says, then by the status."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from reasoning_grpc.domain import Deployment, Wire
from reasoning_grpc.domain.errors import (
    ContentPolicyViolated,
    ContextWindowExceeded,
    FieldViolation,
    UpstreamCredentialsRejected,
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
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamWireRefused,
)
from reasoning_grpc.litellm_model.failures.error_body import ErrorBody
from reasoning_grpc.litellm_model.failures.required_wire import find_required_wire
from reasoning_grpc.litellm_model.failures.retry_after import read_reset, read_retry_after
from reasoning_grpc.litellm_model.request import FIELD_OF_PARAMETER


@dataclass(frozen=True, slots=True)
class BodyRule:
    """One way in which upstreams report a failure in a body: any code or phrase, with any of the statuses."""

    error: type[UpstreamError]
    codes: frozenset[str] = frozenset()
    """Codes of `ErrorBody.codes`."""
    phrases: re.Pattern[str] | None = None
    """Words in the body's message."""
    statuses: frozenset[int] | None = None
    """None: any status."""

    def matches(self, status: int, body: ErrorBody) -> bool:
        """Whether this rule describes the failure; the status is 0 where the upstream named none."""
        if status and self.statuses is not None and status not in self.statuses:
            return False
        return bool(self.codes & body.codes) or bool(self.phrases and self.phrases.search(body.message))


BODY_RULES: Final = (
    BodyRule(
        UpstreamQuotaExhausted,
        frozenset(
            {"insufficient_quota", "budget_exceeded", "billing_hard_limit_reached", "billing_not_active"}
            | {"insufficient_balance", "credit_balance_too_low", "billing_disabled", "exceeded_current_quota_error"}
            | {"arrearage", "servicequotaexceededexception"}
        ),
        re.compile(
            r"budget has been exceeded|exceededbudget|credit balance is too low"
            r"|reached your specified api usage limits|insufficient balance|monthly spending limit"
            r"|(used all available|(doesn't|does not) have any) credits",
            re.IGNORECASE,
        ),
    ),
    BodyRule(
        UpstreamCredentialsRejected,
        frozenset({"no_db_connection", "api_key_invalid"}),
        re.compile(r"(incorrect|invalid) api key", re.IGNORECASE),
        frozenset({400}),
    ),
    BodyRule(
        ContextWindowExceeded,
        frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}),
        re.compile(
            r"maximum context length|context[ _]window|context[ _]length|context size|context limit|prompt is too long"
            r"|input token count|input (is )?too long|maximum model length"
            r"|exceeds? the (maximum|available) (number of tokens|context)|maximum prompt length|model token limit"
            r"|prompt exceeds max length|range of input length should be|max_new_tokens` must be <=",
            re.IGNORECASE,
        ),
        frozenset({400, 403, 413, 422}),
    ),
    BodyRule(
        ContentPolicyViolated,
        frozenset({"content_policy_violation", "content_filter", "responsibleaipolicyviolation"})
        | {"guardrail_violation", "guardrail_intervened", "data_inspection_failed"}
        | {"bio_policy", "cyber_policy", "image_content_policy_violation"},
        re.compile(
            r"content management policy|content policy|content filter|guardrail|sensitive content|input was flagged"
            r"|violating our usage policy",
            re.IGNORECASE,
        ),
        frozenset({400, 403, 422}),
    ),
    BodyRule(
        UpstreamModelMissing,
        frozenset({"model_not_found", "model_not_found_error", "deploymentnotfound", "invalid_model"}),
        re.compile(
            r"invalid model( name|:| ')|model identifier is invalid|model .{0,80}does not exist|model not exist"
            r"|unknown model|not a valid model id",
            re.IGNORECASE,
        ),
        frozenset({400, 404}),
    ),
    BodyRule(
        UpstreamParameterUnsupported,
        frozenset({"unsupported_parameter", "unknown_parameter", "unsupported_value", "unsupported_params_error"}),
        re.compile(
            r"unsupported parameter|unrecognized request argument|does not support parameters"
            r"|extra inputs are not permitted|invalid json payload received. unknown name",
            re.IGNORECASE,
        ),
        frozenset({400, 422}),
    ),
    BodyRule(
        UpstreamOverloaded,
        frozenset({"engine_overloaded_error", "queue_exceeded", "service_tier_capacity_exceeded"}),
        statuses=frozenset({429}),
    ),
    BodyRule(  # the model's own tool call or JSON cannot be read
        UpstreamMalformedResponse,
        frozenset({"tool_use_failed", "json_validate_failed"}),
        statuses=frozenset({400}),
    ),
)
"""The rules for bodies; the first one that matches decides, before the status."""

BY_STATUS: Final[Mapping[int, type[UpstreamError]]] = {
    400: UpstreamRejectedRequest,
    401: UpstreamCredentialsRejected,
    402: UpstreamQuotaExhausted,
    403: UpstreamCredentialsRejected,
    404: UpstreamModelMissing,
    407: UpstreamCredentialsRejected,
    408: UpstreamTimeout,
    409: UpstreamFailed,
    410: UpstreamModelMissing,
    413: ContextWindowExceeded,
    422: UpstreamRejectedRequest,
    424: UpstreamFailed,
    429: UpstreamRateLimited,
    498: UpstreamOverloaded,
    500: UpstreamFailed,
    502: UpstreamFailed,
    503: UpstreamOverloaded,
    504: UpstreamTimeout,
    529: UpstreamOverloaded,
}
"""The error of each status; 407 is that of an HTTP proxy on the way, and 498 is Groq's own.

Any other 4xx is a rejected request, any other 5xx a failure; the rest is malformed."""

_ERROR_NAME_HEADER: Final = "x-amzn-errortype"

_PROXY_AUTHENTICATION_REQUIRED: Final = 407

_DELAYED: Final = frozenset({UpstreamRateLimited, UpstreamFailed, UpstreamOverloaded})
"""Errors that report the delay for which the upstream asks."""


def convert_http_error(
    status: int, headers: Mapping[str, str], body: ErrorBody, deployment: Deployment, used_wire: Wire = Wire.CHAT
) -> UpstreamError:
    """Converts an error that the upstream answered on this wire; the status is 0 where the upstream named none."""
    if status == _PROXY_AUTHENTICATION_REQUIRED:
        return convert_proxy_refusal(status, deployment)
    body = replace(body, codes=body.codes | _find_error_name(headers))
    required_wire = find_required_wire(status, body.codes, body.sentence, used_wire)
    if required_wire:
        return UpstreamWireRefused(model=deployment.name, http_status=status, required_wire=required_wire)
    error_class = next((rule.error for rule in BODY_RULES if rule.matches(status, body)), None)
    error_class = error_class or classify_status(status)
    error_class = blame_key(error_class, deployment)
    return error_class(
        model=deployment.name,
        http_status=status,
        retry_after_seconds=_read_delay(error_class, headers, body) if error_class in _DELAYED else None,
        violations=find_violations(error_class, [body.parameter]),
    )


def convert_proxy_refusal(status: int, deployment: Deployment) -> UpstreamError:
    """Converts the status with which an HTTP proxy refused to pass a request on to the upstream."""
    is_credentials = status == _PROXY_AUTHENTICATION_REQUIRED
    error_class = UpstreamCredentialsRejected if is_credentials else UpstreamUnreachable
    return error_class(model=deployment.name, http_status=status, is_upstream_reached=False)


def blame_key(error_class: type[UpstreamError], deployment: Deployment) -> type[UpstreamError]:
    """Returns the class of error for a refused key that says whose key it was; other classes as they are."""
    is_callers = error_class is UpstreamCredentialsRejected and deployment.is_callers_key
    return UpstreamKeyRejected if is_callers else error_class


def classify_status(status: int) -> type[UpstreamError]:
    """Returns the class of error for a status; 0 is a failure without a status."""
    if status in BY_STATUS:
        return BY_STATUS[status]
    if 400 <= status < 500:
        return UpstreamRejectedRequest
    return UpstreamFailed if status == 0 or 500 <= status < 600 else UpstreamMalformedResponse


def _find_error_name(headers: Mapping[str, str]) -> frozenset[str]:
    """Returns the name of the error in Amazon's header for it, in lower case; an address may follow the name."""
    name = headers.get(_ERROR_NAME_HEADER, "").partition(":")[0]
    return frozenset({name.lower()} if name else ())


def find_violations(error_class: type[UpstreamError], parameters: Iterable[str]) -> tuple[FieldViolation, ...]:
    """Returns a violation for each request field that comes from one of these parameters, if that is the error."""
    if error_class is not UpstreamParameterUnsupported:
        return ()
    names = [re.split(r"[.\[]", parameter)[0] for parameter in parameters]  # also of "tools[0].function.strict"
    fields = dict.fromkeys(FIELD_OF_PARAMETER[name] for name in names if name in FIELD_OF_PARAMETER)
    return tuple(FieldViolation(field, "The model does not take it.") for field in fields)


def _read_delay(error_class: type[UpstreamError], headers: Mapping[str, str], body: ErrorBody) -> float | None:
    """Returns the delay that headers or body ask for, and after a limited rate also the time until its reset.

    Many providers send the resets of their limits with every answer, so they say nothing of other failures.
    """
    now = datetime.now(UTC)
    readers = (read_retry_after, read_reset) if error_class is UpstreamRateLimited else (read_retry_after,)
    delays = (read(source, now) for read in readers for source in (headers, body.delays))
    return next((delay for delay in delays if delay is not None), None)
