"""How whatever goes wrong in a model call becomes an error of ours."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from reasoning_grpc.domain import Deployment, Secret, errors
from reasoning_grpc.domain.errors import FieldViolation, ReasoningError, UpstreamError
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.failures.litellm_errors import BY_LITELLM_CLASS
from reasoning_grpc.litellm_model.failures.retry_after import MAX_RETRY_AFTER_SECONDS, read_retry_after
from reasoning_grpc.litellm_model.transport.errors import AnswerTooLarge, HttpFailure, MalformedStream
from tests.support.factories import a_deployment

Json = dict[str, Any]

SECRET: Final = "sk-secret-7f3a"
"""Stands in every body, key and exception; it must not get out."""
SERVERS_KEY: Final = a_deployment(name="fake", api_key=Secret(SECRET))
CALLERS_KEY: Final = a_deployment(name="fake", api_key=Secret(SECRET), key_is_callers=True)
NO_HEADERS: Final[Mapping[str, str]] = {}


def _convert(exc: BaseException, deployment: Deployment = SERVERS_KEY, *, reached: bool = True) -> UpstreamError:
    """Converts an exception, and checks that the error says nothing that it must not say."""
    error = convert_failure(exc, deployment, reached=reached)
    assert isinstance(error, UpstreamError)
    status = {"http_status": str(error.http_status)} if error.http_status else {}
    assert error.metadata == {"model": "fake"} | status
    assert str(error) == error.sentence.replace("{model}", "fake")
    assert SECRET not in repr((error.args, error.metadata, error.violations))
    return error


def _http_failure(status: int, body: object, headers: Mapping[str, str] = NO_HEADERS) -> HttpFailure:
    """Returns an answer of this status; a body that is not bytes is sent as JSON."""
    return HttpFailure(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def _openai_body(
    message: str = "", code: str | int | None = None, kind: str | None = None, param: str | None = None
) -> Json:
    """Returns a body of the OpenAI dialect."""
    return {"error": {"message": f"{message} ({SECRET})", "type": kind, "param": param, "code": code}}


def _anthropic_body(message: str, kind: str = "invalid_request_error") -> Json:
    """Returns a body of Anthropic's."""
    error = {"type": kind, "message": f"{message} ({SECRET})"}
    return {"type": "error", "error": error, "request_id": "req_1"}


def _google_body(message: str, code: int, status: str, **details: str) -> Json:
    """Returns a body of Google's."""
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "googleapis.com", **details}
    return {"error": {"code": code, "message": f"{message} ({SECRET})", "status": status, "details": [detail]}}


STATUSES: Final[dict[int, type[UpstreamError]]] = {
    300: errors.UpstreamMalformedResponse,
    301: errors.UpstreamMalformedResponse,
    307: errors.UpstreamMalformedResponse,
    400: errors.UpstreamRejectedRequest,
    401: errors.UpstreamCredentialsRejected,
    402: errors.UpstreamQuotaExhausted,
    403: errors.UpstreamCredentialsRejected,
    404: errors.UpstreamModelMissing,
    405: errors.UpstreamRejectedRequest,
    408: errors.UpstreamTimeout,
    409: errors.UpstreamFailed,
    413: errors.ContextWindowExceeded,
    418: errors.UpstreamRejectedRequest,
    422: errors.UpstreamRejectedRequest,
    424: errors.UpstreamFailed,
    429: errors.UpstreamRateLimited,
    451: errors.UpstreamRejectedRequest,
    500: errors.UpstreamFailed,
    501: errors.UpstreamFailed,
    502: errors.UpstreamFailed,
    503: errors.UpstreamOverloaded,
    504: errors.UpstreamTimeout,
    520: errors.UpstreamFailed,
    529: errors.UpstreamOverloaded,
    599: errors.UpstreamFailed,
}
MEANINGLESS: Final[dict[str, object]] = {
    "openai": _openai_body("The request failed.", "some_code", "some_type", "some_param"),
    "code-is-the-status-of-another": _openai_body("The request failed.", "200"),
    "nothing": b"",
    "html": b"<html>" + SECRET.encode() + b"</html>",
    "cut": b'{"error": {"message": "' + SECRET.encode(),
    "not-utf-8": b'{"error": "\xff"}',
    "deep": b"[" * 50_000,
    "list": [_openai_body("The request failed.")],
    "null": None,
    "error-null": {"error": None},
    "error-text": {"error": SECRET},
    "error-list": {"error": [SECRET]},
    "detail-text": {"detail": SECRET},
    "detail-list": {"detail": [{"loc": ["body"], "msg": SECRET}]},
    "fields-of-another-type": {"error": {"message": 7, "code": [], "type": {}, "param": 7, "status": "x"}},
}
"""Bodies that say no more than the status."""


@pytest.mark.parametrize("body", MEANINGLESS.values(), ids=MEANINGLESS.keys())
@pytest.mark.parametrize(("status", "expected"), STATUSES.items(), ids=map(str, STATUSES))
def test_the_status_decides_without_a_meaningful_body(status: int, body: object, expected: type[UpstreamError]) -> None:
    """Where the body says no more than the status, the status decides."""
    error = _convert(_http_failure(status, body))

    assert type(error) is expected
    assert error.http_status == status
    assert error.reached
    assert error.violations == ()


@pytest.mark.parametrize(
    ("headers", "seconds"), [({}, 34.5), ({"retry-after": "7"}, 7.0)], ids=["alone", "beside-a-header"]
)
def test_google_reports_the_delay_in_the_body(headers: Mapping[str, str], seconds: float) -> None:
    """Google's error body reports the delay before the next attempt, which a header overrides."""
    body = _google_body("Quota exceeded.", 429, "RESOURCE_EXHAUSTED", retryDelay="34.5s")

    assert _convert(_http_failure(429, body, headers)).retry_after_seconds == seconds


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_of_the_caller_is_the_callers_failure(status: int) -> None:
    """A refused key that belongs to the caller is a failure that the caller can fix."""
    error = _convert(_http_failure(status, _openai_body("Incorrect API key provided.", "invalid_api_key")), CALLERS_KEY)

    assert type(error) is errors.UpstreamKeyRejected


VLLM_CONTEXT: Final = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100"
    " in the completion). Please reduce the length of the messages or completion."
)
VLLM_PROMPT: Final = "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
LLAMA_CONTEXT: Final = "the request exceeds the available context size, try increasing it"
PROXY_NO_MODEL: Final = "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view models."
AZURE_POLICY: Final = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
ANY_STATUS: Final = (400, 401, 403, 404, 422, 429, 500, 503)
BODIES: Final[dict[str, tuple[tuple[int, ...], object, type[UpstreamError]]]] = {
    "quota-code": (
        ANY_STATUS,
        _openai_body("You exceeded your quota.", "insufficient_quota"),
        errors.UpstreamQuotaExhausted,
    ),
    "quota-type": (ANY_STATUS, _openai_body("", None, "insufficient_quota"), errors.UpstreamQuotaExhausted),
    "budget-type": (ANY_STATUS, _openai_body("", "400", "budget_exceeded"), errors.UpstreamQuotaExhausted),
    "budget-phrase": (
        ANY_STATUS,
        _openai_body("Budget has been exceeded! Current cost: 9"),
        errors.UpstreamQuotaExhausted,
    ),
    "budget-of-a-key": (ANY_STATUS, _openai_body("ExceededBudget: over budget"), errors.UpstreamQuotaExhausted),
    "credit": ((400,), _openai_body("Your credit balance is too low"), errors.UpstreamQuotaExhausted),
    "no-db-connection": (
        (400,),
        _openai_body("No connected db.", "400", "no_db_connection"),
        errors.UpstreamCredentialsRejected,
    ),
    "no-db-connection-of-a-500": (
        (500,),
        _openai_body("No connected db.", "500", "no_db_connection"),
        errors.UpstreamFailed,
    ),
    "proxy-without-the-model": ((400,), _openai_body(PROXY_NO_MODEL, "400"), errors.UpstreamModelMissing),
    "openai-without-the-model": (
        (404,),
        _openai_body("The model `x` does not exist or you do not have access to it.", "model_not_found"),
        errors.UpstreamModelMissing,
    ),
    "vllm-without-the-model": (
        (400, 404),
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
        errors.UpstreamModelMissing,
    ),
    "context-openai": (
        (400, 413, 422),
        _openai_body("Too long.", "context_length_exceeded", "invalid_request_error", "messages"),
        errors.ContextWindowExceeded,
    ),
    "context-openai-phrase": (
        (400,),
        _openai_body("Your input exceeds the context window of this model."),
        errors.ContextWindowExceeded,
    ),
    "context-llama-cpp": (
        (400,),
        {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}},
        errors.ContextWindowExceeded,
    ),
    "context-llama-cpp-phrase": ((400,), _openai_body(LLAMA_CONTEXT), errors.ContextWindowExceeded),
    "context-vllm": ((400,), _openai_body(VLLM_CONTEXT, 400, "BadRequestError"), errors.ContextWindowExceeded),
    "context-vllm-prompt": ((400,), _openai_body(VLLM_PROMPT, 400, "BadRequestError"), errors.ContextWindowExceeded),
    "context-vllm-unwrapped": (
        (400,),
        {"object": "error", "message": VLLM_CONTEXT, "type": "BadRequestError", "code": 400},
        errors.ContextWindowExceeded,
    ),
    "context-anthropic": (
        (400,),
        _openai_body("prompt is too long: 9 tokens > 8 maximum"),
        errors.ContextWindowExceeded,
    ),
    "context-gemini": (
        (400,),
        _openai_body("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        errors.ContextWindowExceeded,
    ),
    "context-in-detail": ((400,), {"detail": VLLM_CONTEXT}, errors.ContextWindowExceeded),
    "context-in-a-500": ((500,), _openai_body(VLLM_CONTEXT), errors.UpstreamFailed),
    "context-in-a-429": ((429,), _openai_body("Too many tokens for the context window."), errors.UpstreamRateLimited),
    "policy-openai": ((400,), _openai_body("Rejected.", "content_policy_violation"), errors.ContentPolicyViolated),
    "policy-azure": ((400,), _openai_body(AZURE_POLICY, "content_filter"), errors.ContentPolicyViolated),
    "policy-azure-phrase": ((400,), _openai_body(AZURE_POLICY), errors.ContentPolicyViolated),
    "policy-in-a-403": ((403,), _openai_body("Against our content policy."), errors.ContentPolicyViolated),
    "policy-in-a-500": ((500,), _openai_body("The content policy service is down."), errors.UpstreamFailed),
    "guardrail": ((400, 403, 422), _openai_body("Violated guardrail policy", "400"), errors.ContentPolicyViolated),
    "guardrail-code": ((400,), _openai_body("Blocked.", "guardrail_intervened"), errors.ContentPolicyViolated),
    "rate-limit-in-a-500": ((500,), _openai_body("Rate limit reached for requests"), errors.UpstreamFailed),
    "rate-limit-in-a-400": ((400,), _openai_body("The rate limit parameter is odd."), errors.UpstreamRejectedRequest),
    "unsupported-code": ((400, 422), _openai_body("No.", "unsupported_parameter"), errors.UpstreamParameterUnsupported),
    "unsupported-phrase": (
        (400,),
        _openai_body("Unrecognized request argument supplied: x"),
        errors.UpstreamParameterUnsupported,
    ),
    "unsupported-in-a-500": ((500,), _openai_body("No.", "unsupported_parameter"), errors.UpstreamFailed),
    "codes-in-capitals": ((400,), _openai_body("", "ResponsibleAIPolicyViolation"), errors.ContentPolicyViolated),
    "message-of-another-type": (
        (400,),
        {"error": {"message": 7, "code": "content_filter"}},
        errors.ContentPolicyViolated,
    ),
    "anthropic-context-and-output": (
        (400,),
        _anthropic_body("input length and `max_tokens` exceed context limit: 198000 + 21333 > 200000"),
        errors.ContextWindowExceeded,
    ),
    "anthropic-too-large": ((413,), _anthropic_body("Too big.", "request_too_large"), errors.ContextWindowExceeded),
    "anthropic-credit": (
        (400,),
        _anthropic_body("Your credit balance is too low to access the Anthropic API."),
        errors.UpstreamQuotaExhausted,
    ),
    "anthropic-limit-of-the-month": (
        (400,),
        _anthropic_body("You have reached your specified API usage limits. You will regain access on 2030-01-01."),
        errors.UpstreamQuotaExhausted,
    ),
    "anthropic-filter": (
        (400,),
        _anthropic_body("Output blocked by content filtering policy"),
        errors.ContentPolicyViolated,
    ),
    "anthropic-parameter": (
        (400,),
        _anthropic_body("top_k: Extra inputs are not permitted"),
        errors.UpstreamParameterUnsupported,
    ),
    "anthropic-overloaded": ((529,), _anthropic_body("Overloaded", "overloaded_error"), errors.UpstreamOverloaded),
    "google-key": (
        (400,),
        _google_body(
            "API key not valid. Please pass a valid API key.", 400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"
        ),
        errors.UpstreamCredentialsRejected,
    ),
    "google-key-in-a-list": (
        (400,),
        [_google_body("API key expired.", 400, "INVALID_ARGUMENT", reason="API_KEY_INVALID")],
        errors.UpstreamCredentialsRejected,
    ),
    "google-argument": ((400,), _google_body("Odd.", 400, "INVALID_ARGUMENT"), errors.UpstreamRejectedRequest),
    "google-location": (
        (400,),
        _google_body("User location is not supported for the API use.", 400, "FAILED_PRECONDITION"),
        errors.UpstreamRejectedRequest,
    ),
    "google-billing": (
        (403,),
        _google_body("This API method requires billing.", 403, "PERMISSION_DENIED", reason="BILLING_DISABLED"),
        errors.UpstreamQuotaExhausted,
    ),
    "google-quota-of-the-minute": (
        (429,),
        _google_body("You exceeded your current quota.", 429, "RESOURCE_EXHAUSTED", reason="RATE_LIMIT_EXCEEDED"),
        errors.UpstreamRateLimited,
    ),
    "google-context": (
        (400,),
        _google_body("The input token count is 40000 but model only supports up to 32768.", 400, "INVALID_ARGUMENT"),
        errors.ContextWindowExceeded,
    ),
    "google-parameter": (
        (400,),
        _google_body('Invalid JSON payload received. Unknown name "x": Cannot find field.', 400, "INVALID_ARGUMENT"),
        errors.UpstreamParameterUnsupported,
    ),
    "google-overloaded": ((503,), _google_body("Overloaded.", 503, "UNAVAILABLE"), errors.UpstreamOverloaded),
    "google-details-of-another-type": (
        (400,),
        {"error": {"code": 400, "message": "Odd.", "details": [7, {"reason": 7}, {"retryDelay": 7}]}},
        errors.UpstreamRejectedRequest,
    ),
}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        pytest.param(status, body, expected, id=f"{name}-{status}")
        for name, (statuses, body, expected) in BODIES.items()
        for status in statuses
    ],
)
def test_the_body_decides_before_the_status(status: int, body: object, expected: type[UpstreamError]) -> None:
    """What the body says decides before the status, where the rule allows the status."""
    error = _convert(_http_failure(status, body, {"retry-after": "7"}))

    assert type(error) is expected
    assert error.http_status == status
    timed = expected in {errors.UpstreamFailed, errors.UpstreamRateLimited, errors.UpstreamOverloaded}
    assert error.retry_after_seconds == (7.0 if timed else None)


def test_no_db_connection_with_the_callers_key() -> None:
    """A proxy without a database refuses a virtual key as `no_db_connection`.

    A caller's own key makes it the caller's failure.
    """
    error = _convert(_http_failure(400, _openai_body("No connected db.", "400", "no_db_connection")), CALLERS_KEY)

    assert type(error) is errors.UpstreamKeyRejected


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("temperature", ["sampling.temperature"]),
        ("max_tokens", ["sampling.max_output_tokens"]),
        ("reasoning_effort", ["reasoning.effort"]),
        ("response_format.json_schema", ["response_format"]),
        ("tools[0].function.strict", ["tools"]),
        ("stream_options", []),
        ("", []),
        (None, []),
        (SECRET, []),
    ],
)
def test_a_refused_parameter_becomes_a_field(param: str | None, fields: list[str]) -> None:
    """The upstream's name of a parameter becomes the field of our request.

    A parameter that we do not have is not shown.
    """
    error = _convert(_http_failure(400, _openai_body("Unsupported parameter.", "unsupported_parameter", None, param)))

    assert type(error) is errors.UpstreamParameterUnsupported
    assert error.violations == tuple(FieldViolation(field, "The model does not take it.") for field in fields)


def test_a_parameter_of_another_failure_is_not_named() -> None:
    """A request that is refused for its content names no field that the model does not take."""
    error = _convert(_http_failure(400, _openai_body("Too long.", "context_length_exceeded", None, "messages")))

    assert error.violations == ()


NOW: Final = datetime(2026, 11, 1, 12, 0, 0, tzinfo=UTC)
RETRY_AFTER: Final[dict[str, tuple[dict[str, str], float | None]]] = {
    "seconds": ({"retry-after": "7"}, 7.0),
    "zero": ({"retry-after": "0"}, 0.0),
    "fraction": ({"retry-after": "2.5"}, 2.5),
    "spaces": ({"retry-after": " 7 "}, 7.0),
    "at-the-limit": ({"retry-after": "300"}, 300.0),
    "clamped": ({"retry-after": "3600"}, 300.0),
    "word": ({"retry-after": "abc"}, None),
    "empty": ({"retry-after": ""}, None),
    "negative": ({"retry-after": "-1"}, None),
    "infinite": ({"retry-after": "inf"}, None),
    "nan": ({"retry-after": "nan"}, None),
    "exponent": ({"retry-after": "1e3"}, None),
    "a-hundred-digits": ({"retry-after": "9" * 100}, None),
    "date": ({"retry-after": "Sun, 01 Nov 2026 12:00:30 GMT"}, 30.0),
    "date-without-a-zone": ({"retry-after": "Sun, 01 Nov 2026 12:00:30 -0000"}, 30.0),
    "date-of-another-zone": ({"retry-after": "Sun, 01 Nov 2026 13:00:30 +0100"}, 30.0),
    "date-far-away": ({"retry-after": "Mon, 02 Nov 2026 12:00:00 GMT"}, 300.0),
    "date-past": ({"retry-after": "Sun, 01 Nov 2026 11:00:00 GMT"}, 0.0),
    "date-impossible": ({"retry-after": "Sun, 31 Feb 2026 12:00:00 GMT"}, None),
    "date-of-a-huge-year": ({"retry-after": f"Sun, 01 Nov {'9' * 20} 12:00:00 GMT"}, None),
    "date-of-a-huge-zone": ({"retry-after": f"Sun, 01 Nov 2026 12:00:00 +{'9' * 20}"}, None),
    "proxy": ({"llm_provider-retry-after": "9"}, 9.0),
    "both": ({"retry-after": "7", "llm_provider-retry-after": "9"}, 7.0),
    "proxy-where-its-own-is-of-no-use": ({"retry-after": "abc", "llm_provider-retry-after": "9"}, 9.0),
    "proxy-where-its-own-is-negative": ({"retry-after": "-1", "llm_provider-retry-after": "9"}, 9.0),
    "none": ({}, None),
}


@pytest.mark.parametrize(("headers", "seconds"), RETRY_AFTER.values(), ids=RETRY_AFTER.keys())
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """A usable time in Retry-After is returned, at most five minutes; any other value is ignored."""
    assert read_retry_after(headers, NOW) == seconds


@given(st.text() | st.from_regex(r"(Sun, )?\d+ Nov \d+ \d+:\d+(:\d+)? ([+-]\d+|GMT|[A-Z]{3})", fullmatch=True))
def test_any_retry_after(text: str) -> None:
    """No value of Retry-After raises an error or asks for a time outside the limits."""
    seconds = read_retry_after({"retry-after": text}, NOW)

    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_SECONDS


@pytest.mark.parametrize("status", STATUSES, ids=str)
def test_only_some_errors_report_retry_after(status: int) -> None:
    """Retry-After is reported only for a limited rate, a failure and an overload, in whatever case it is written."""
    error = _convert(_http_failure(status, b"", CIMultiDict({"Retry-After": "7"})))

    timed = {errors.UpstreamRateLimited, errors.UpstreamFailed, errors.UpstreamOverloaded}
    assert error.retry_after_seconds == (7.0 if type(error) in timed else None)


IN_ANSWERS: Final[dict[str, tuple[object, type[UpstreamError], int]]] = {
    "429": ({"code": 429, "message": SECRET}, errors.UpstreamRateLimited, 429),
    "500": ({"code": 500, "message": SECRET}, errors.UpstreamFailed, 500),
    "503": ({"code": 503}, errors.UpstreamOverloaded, 503),
    "429-as-text": ({"code": "429"}, errors.UpstreamRateLimited, 429),
    "429-as-status": ({"status": 429, "code": None}, errors.UpstreamRateLimited, 429),
    "429-as-status_code": ({"status_code": "429"}, errors.UpstreamRateLimited, 429),
    "a-status-in-words": ({"status": "UNAVAILABLE"}, errors.UpstreamOverloaded, 503),
    "429-beside-a-word": ({"status": "RESOURCE_EXHAUSTED", "code": 429}, errors.UpstreamRateLimited, 429),
    "null": ({"code": None, "message": SECRET}, errors.UpstreamFailed, 0),
    "text": (SECRET, errors.UpstreamFailed, 0),
    "number": (7, errors.UpstreamFailed, 0),
    "list": ([SECRET], errors.UpstreamFailed, 0),
    "200": ({"code": 200}, errors.UpstreamFailed, 0),
    "true": ({"code": True}, errors.UpstreamFailed, 0),
    "5000-digits": ({"code": "9" * 5000}, errors.UpstreamFailed, 0),
    "huge": ({"code": 10**400}, errors.UpstreamFailed, 0),
    "type-server_error": ({"type": "server_error", "message": "rate limit"}, errors.UpstreamFailed, 0),
    "type-rate_limit_error": ({"type": "rate_limit_error"}, errors.UpstreamRateLimited, 429),
    "code-rate_limit_exceeded": ({"code": "rate_limit_exceeded"}, errors.UpstreamRateLimited, 429),
    "type-overloaded_error": ({"type": "overloaded_error"}, errors.UpstreamOverloaded, 529),
    "type-authentication_error": ({"type": "authentication_error"}, errors.UpstreamCredentialsRejected, 401),
    "type-permission_error": ({"type": "permission_error"}, errors.UpstreamCredentialsRejected, 403),
    "type-not_found_error": ({"type": "not_found_error"}, errors.UpstreamModelMissing, 404),
    "type-invalid_request_error": ({"type": "invalid_request_error"}, errors.UpstreamRejectedRequest, 400),
    "type-timeout_error": ({"type": "timeout_error"}, errors.UpstreamTimeout, 504),
    "type-insufficient_quota": ({"type": "insufficient_quota"}, errors.UpstreamQuotaExhausted, 0),
    "quota-under-429": ({"type": "insufficient_quota", "code": 429}, errors.UpstreamQuotaExhausted, 429),
    "context-by-code-alone": ({"code": "context_length_exceeded"}, errors.ContextWindowExceeded, 0),
    "context-under-400": ({"code": 400, "message": VLLM_CONTEXT}, errors.ContextWindowExceeded, 400),
    "context-under-500": ({"code": 500, "message": VLLM_CONTEXT}, errors.UpstreamFailed, 500),
    "policy-by-code-alone": ({"code": "content_filter"}, errors.ContentPolicyViolated, 0),
}


@pytest.mark.parametrize(("found", "expected", "status"), IN_ANSWERS.values(), ids=IN_ANSWERS.keys())
def test_an_error_inside_an_answer_is_read_like_a_body(
    found: object, expected: type[UpstreamError], status: int
) -> None:
    """An error inside an answer is read like a body.

    It reports a status only where it has a number, or a type that stands for one.
    """
    error = _convert(ErrorInAnswer(found))

    assert type(error) is expected
    assert error.http_status == status
    assert error.retry_after_seconds is None


def _no_connection(kind: type[aiohttp.ClientConnectorError]) -> aiohttp.ClientConnectorError:
    return kind(ConnectionKey(SECRET, 80, False, True, None, None, None), OSError(SECRET))


ON_THE_WIRE: Final[dict[str, tuple[BaseException, type[UpstreamError], bool]]] = {
    "refused": (_no_connection(aiohttp.ClientConnectorError), errors.UpstreamUnreachable, False),
    "dns": (_no_connection(aiohttp.ClientConnectorDNSError), errors.UpstreamUnreachable, False),
    "connecting-too-long": (aiohttp.ConnectionTimeoutError(SECRET), errors.UpstreamUnreachable, False),
    "url": (aiohttp.InvalidURL(SECRET), errors.UpstreamUnreachable, False),
    "disconnected": (aiohttp.ServerDisconnectedError(SECRET), errors.UpstreamUnreachable, True),
    "reset-by-aiohttp": (aiohttp.ClientConnectionResetError(SECRET), errors.UpstreamUnreachable, True),
    "reset-by-the-system": (ConnectionResetError(SECRET), errors.UpstreamUnreachable, True),
    "broken-pipe": (BrokenPipeError(SECRET), errors.UpstreamUnreachable, True),
    "short-body": (aiohttp.ClientPayloadError(SECRET), errors.UpstreamUnreachable, True),
    "not-http": (aiohttp.ClientError(SECRET), errors.UpstreamMalformedResponse, True),
    "junk-line": (MalformedStream(SECRET), errors.UpstreamMalformedResponse, True),
    "not-json": (MalformedAnswer(SECRET), errors.UpstreamMalformedResponse, True),
    "too-large": (AnswerTooLarge(SECRET), errors.UpstreamMalformedResponse, True),
}


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped-by-litellm"])
@pytest.mark.parametrize(("exc", "expected", "reached"), ON_THE_WIRE.values(), ids=ON_THE_WIRE.keys())
def test_an_exception_of_the_network_is_found(
    exc: BaseException, expected: type[UpstreamError], reached: bool, wrapped: bool
) -> None:
    """An exception of the network is found below litellm's own.

    The upstream was reached unless no connection was made.
    """
    if wrapped:
        exc = _chain(_make_litellm_error("InternalServerError", status_code=500, message=SECRET), exc)

    error = _convert(exc, reached=False)

    assert type(error) is expected
    assert error.reached == reached
    assert error.http_status == 0


def _make_litellm_error(name: str, **attributes: object) -> BaseException:
    """Returns an exception of litellm as if its constructor had never run, with only these attributes."""
    exception_class = getattr(library.import_litellm().exceptions, name)
    exc: BaseException = exception_class.__new__(exception_class)
    for attribute, value in attributes.items():
        setattr(exc, attribute, value)
    return exc


def _chain(exc: BaseException, cause: BaseException) -> BaseException:
    exc.__cause__ = cause
    return exc


def test_every_exception_of_litellm_has_a_row() -> None:
    """The table has each exception class of the installed litellm, and no class that litellm no longer has."""
    exceptions = library.import_litellm().exceptions
    own = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, Exception) and value.__module__ == exceptions.__name__
    }

    assert own == BY_LITELLM_CLASS.keys()


ODD_ATTRIBUTES: Final[dict[str, Json]] = {
    "absent": {},
    "of-another-type": {
        "status_code": "x",
        "message": None,
        "litellm_response_headers": 7,
        "response": 7,
        "original_exception": SECRET,
    },
    "other-odd-ones": {"status_code": [], "message": {SECRET: 7}, "litellm_response_headers": None, "body": SECRET},
    "status-of-5000-digits": {"status_code": "9" * 5000, "message": 7},
    "status-huge": {"status_code": 10**400},
    "status-true": {"status_code": True},
    "status-of-success": {"status_code": 200, "message": SECRET},
}


@pytest.mark.parametrize("attributes", ODD_ATTRIBUTES.values(), ids=ODD_ATTRIBUTES.keys())
@pytest.mark.parametrize("name", BY_LITELLM_CLASS)
def test_each_exception_of_litellm_is_converted_by_its_class(name: str, attributes: Json) -> None:
    """An exception of litellm is converted by its class, whatever its attributes.

    A class that says nothing is a failure.
    """
    error = _convert(_make_litellm_error(name, **attributes), reached=False)

    assert type(error) is (BY_LITELLM_CLASS[name] or errors.UpstreamFailed)
    assert not error.reached
    assert error.violations == ()


@pytest.mark.parametrize("as_text", [False, True], ids=["number", "text"])
@pytest.mark.parametrize("status", [status for status in STATUSES if status >= 400], ids=str)
@pytest.mark.parametrize("name", [name for name, row in BY_LITELLM_CLASS.items() if row is None])
def test_a_class_that_says_nothing_goes_by_its_status(name: str, status: int, as_text: bool) -> None:
    """For classes that say nothing, such as APIError for 402, 403 and 409, the status decides."""
    error = _convert(_make_litellm_error(name, status_code=str(status) if as_text else status, message=SECRET))

    assert type(error) is STATUSES[status]
    assert error.http_status == status


def _make_circle() -> BaseException:
    exc = _make_litellm_error("APIError", message=SECRET)
    return _chain(exc, _chain(_make_litellm_error("APIConnectionError"), exc))


def _raise_in_context(exc: BaseException, context: BaseException) -> BaseException:
    exc.__context__ = context
    return exc


CHAINS: Final[dict[str, tuple[Callable[[], BaseException], type[UpstreamError]]]] = {
    "status-under-a-misleading-class": (
        lambda: _chain(
            _make_litellm_error("RateLimitError", status_code=429), _http_failure(500, _openai_body("Rate limit"))
        ),
        errors.UpstreamFailed,
    ),
    "body-under-a-class-that-says-nothing": (
        lambda: _chain(_make_litellm_error("APIError", status_code=500), _http_failure(400, {"detail": VLLM_CONTEXT})),
        errors.ContextWindowExceeded,
    ),
    "context": (lambda: _raise_in_context(ValueError(SECRET), _http_failure(404, b"")), errors.UpstreamModelMissing),
    "original_exception": (
        lambda: _make_litellm_error(
            "MidStreamFallbackError", status_code=503, original_exception=_make_litellm_error("RateLimitError")
        ),
        errors.UpstreamRateLimited,
    ),
    "original_exception-of-no-kind": (
        lambda: _make_litellm_error("MidStreamFallbackError", status_code=503, original_exception=OSError(SECRET)),
        errors.UpstreamOverloaded,
    ),
    "far-down": (
        lambda: _chain(ValueError(SECRET), _chain(KeyError(SECRET), _make_litellm_error("RateLimitError"))),
        errors.UpstreamRateLimited,
    ),
    "ring": (_make_circle, errors.UpstreamFailed),
}


@pytest.mark.parametrize(("chain", "expected"), CHAINS.values(), ids=CHAINS.keys())
def test_the_whole_chain_is_read(chain: Callable[[], BaseException], expected: type[UpstreamError]) -> None:
    """The whole chain is read, our own exceptions before litellm's classes, and a chain in a circle ends."""
    assert type(_convert(chain())) is expected


@pytest.mark.parametrize("bug", [TypeError(SECRET), KeyError(SECRET), ValueError(SECRET), AssertionError(SECRET)])
@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "wrapped-by-litellm"])
def test_a_bug_is_no_error_of_the_upstream(bug: BaseException, wrapped: bool) -> None:
    """An exception that nobody expects is not converted, so that it is logged and leaves as INTERNAL."""
    exc = _chain(_make_litellm_error("InternalServerError", status_code=500, message=SECRET), bug) if wrapped else bug

    assert convert_failure(exc, SERVERS_KEY, reached=True) is None


def test_an_error_of_ours_stays_itself() -> None:
    """An error of ours is returned unchanged, wherever it is in the chain."""
    ours: ReasoningError = errors.ModelNotFound({"model": "x"})

    assert convert_failure(_chain(_make_litellm_error("APIError"), ours), SERVERS_KEY, reached=False) is ours


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("openai does not support parameters: ['thinking'], for model=fake.", ["reasoning.budget_tokens"]),
        (
            "x does not support parameters: ['seed', 'stop'], for model=stop.",
            ["sampling.seed", "sampling.stop_sequences"],
        ),
        ("O-series models don't support temperature=0. Only temperature=1 is supported.", ["sampling.temperature"]),
        ("reasoning_effort=none is not supported for x.", ["reasoning.effort"]),
        (f"does not support '{SECRET}', {SECRET}=1", []),
        ("", []),
    ],
    ids=["one", "two", "value", "effort", "none-of-ours", "empty"],
)
def test_parameters_that_litellm_refuses_become_fields(message: str, fields: list[str]) -> None:
    """Parameters that litellm names in a refusal become fields of our request."""
    error = _convert(
        _make_litellm_error("UnsupportedParamsError", message=f"litellm.UnsupportedParamsError: {message}")
    )

    assert type(error) is errors.UpstreamParameterUnsupported
    assert error.violations == tuple(FieldViolation(field, "The model does not take it.") for field in fields)
