"""Which error of ours a failure becomes by what its body says."""

from typing import Final

import pytest

from reasoning_grpc.domain import errors
from reasoning_grpc.domain.errors import FieldViolation, UpstreamError
from reasoning_grpc.litellm_model.answers import ErrorInAnswer
from tests.support.failures import CALLERS_KEY, SECRET, anthropic_body, convert, google_body, http_failure, openai_body

VLLM_CONTEXT: Final = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4900 in the messages, 100"
    " in the completion). Please reduce the length of the messages or completion."
)
VLLM_PROMPT: Final = "The decoder prompt (length 5000) is longer than the maximum model length of 4096."
LLAMA_CONTEXT: Final = "the request exceeds the available context size, try increasing it"
PROXY_NO_MODEL: Final = "/chat/completions: Invalid model name passed in model=x. Call `/v1/models` to view models."
AZURE_POLICY: Final = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
QUOTA: Final = errors.UpstreamQuotaExhausted
ANY_STATUS: Final = (400, 401, 403, 404, 422, 429, 500, 503)
BODIES: Final[dict[str, tuple[tuple[int, ...], object, type[UpstreamError]]]] = {
    "quota-code": (
        ANY_STATUS,
        openai_body("You exceeded your quota.", "insufficient_quota"),
        errors.UpstreamQuotaExhausted,
    ),
    "quota-type": (ANY_STATUS, openai_body("", None, "insufficient_quota"), errors.UpstreamQuotaExhausted),
    "budget-type": (ANY_STATUS, openai_body("", "400", "budget_exceeded"), errors.UpstreamQuotaExhausted),
    "budget-phrase": (
        ANY_STATUS,
        openai_body("Budget has been exceeded! Current cost: 9"),
        errors.UpstreamQuotaExhausted,
    ),
    "budget-of-a-key": (ANY_STATUS, openai_body("ExceededBudget: over budget"), errors.UpstreamQuotaExhausted),
    "credit": ((400,), openai_body("Your credit balance is too low"), errors.UpstreamQuotaExhausted),
    "no-db-connection": (
        (400,),
        openai_body("No connected db.", "400", "no_db_connection"),
        errors.UpstreamCredentialsRejected,
    ),
    "no-db-connection-of-a-500": (
        (500,),
        openai_body("No connected db.", "500", "no_db_connection"),
        errors.UpstreamFailed,
    ),
    "proxy-without-the-model": ((400,), openai_body(PROXY_NO_MODEL, "400"), errors.UpstreamModelMissing),
    "proxy-of-perplexity-without-the-model": (
        (400,),
        openai_body(
            "litellm.BadRequestError: PerplexityException - Invalid model 'x'. Permitted models are ...", "400"
        ),
        errors.UpstreamModelMissing,
    ),
    "openai-without-the-model": (
        (404,),
        openai_body("The model `x` does not exist or you do not have access to it.", "model_not_found"),
        errors.UpstreamModelMissing,
    ),
    "vllm-without-the-model": (
        (400, 404),
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
        errors.UpstreamModelMissing,
    ),
    "context-openai": (
        (400, 413, 422),
        openai_body("Too long.", "context_length_exceeded", "invalid_request_error", "messages"),
        errors.ContextWindowExceeded,
    ),
    "context-openai-phrase": (
        (400,),
        openai_body("Your input exceeds the context window of this model."),
        errors.ContextWindowExceeded,
    ),
    "context-llama-cpp": (
        (400,),
        {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 4096}},
        errors.ContextWindowExceeded,
    ),
    "context-llama-cpp-phrase": ((400,), openai_body(LLAMA_CONTEXT), errors.ContextWindowExceeded),
    "context-vllm": ((400,), openai_body(VLLM_CONTEXT, 400, "BadRequestError"), errors.ContextWindowExceeded),
    "context-vllm-prompt": ((400,), openai_body(VLLM_PROMPT, 400, "BadRequestError"), errors.ContextWindowExceeded),
    "context-vllm-unwrapped": (
        (400,),
        {"object": "error", "message": VLLM_CONTEXT, "type": "BadRequestError", "code": 400},
        errors.ContextWindowExceeded,
    ),
    "context-anthropic": (
        (400,),
        openai_body("prompt is too long: 9 tokens > 8 maximum"),
        errors.ContextWindowExceeded,
    ),
    "context-gemini": (
        (400,),
        openai_body("The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        errors.ContextWindowExceeded,
    ),
    "context-in-detail": ((400,), {"detail": VLLM_CONTEXT}, errors.ContextWindowExceeded),
    "context-in-a-500": ((500,), openai_body(VLLM_CONTEXT), errors.UpstreamFailed),
    "context-in-a-429": ((429,), openai_body("Too many tokens for the context window."), errors.UpstreamRateLimited),
    "policy-openai": ((400,), openai_body("Rejected.", "content_policy_violation"), errors.ContentPolicyViolated),
    "policy-azure": ((400,), openai_body(AZURE_POLICY, "content_filter"), errors.ContentPolicyViolated),
    "policy-azure-phrase": ((400,), openai_body(AZURE_POLICY), errors.ContentPolicyViolated),
    "policy-in-a-403": ((403,), openai_body("Against our content policy."), errors.ContentPolicyViolated),
    "policy-in-a-500": ((500,), openai_body("The content policy service is down."), errors.UpstreamFailed),
    "guardrail": ((400, 403, 422), openai_body("Violated guardrail policy", "400"), errors.ContentPolicyViolated),
    "guardrail-code": ((400,), openai_body("Blocked.", "guardrail_intervened"), errors.ContentPolicyViolated),
    "rate-limit-in-a-500": ((500,), openai_body("Rate limit reached for requests"), errors.UpstreamFailed),
    "rate-limit-in-a-400": ((400,), openai_body("The rate limit parameter is odd."), errors.UpstreamRejectedRequest),
    "unsupported-code": ((400, 422), openai_body("No.", "unsupported_parameter"), errors.UpstreamParameterUnsupported),
    "unsupported-phrase": (
        (400,),
        openai_body("Unrecognized request argument supplied: x"),
        errors.UpstreamParameterUnsupported,
    ),
    "unsupported-in-a-500": ((500,), openai_body("No.", "unsupported_parameter"), errors.UpstreamFailed),
    "codes-in-capitals": ((400,), openai_body("", "ResponsibleAIPolicyViolation"), errors.ContentPolicyViolated),
    "message-of-another-type": (
        (400,),
        {"error": {"message": 7, "code": "content_filter"}},
        errors.ContentPolicyViolated,
    ),
    "anthropic-context-and-output": (
        (400,),
        anthropic_body("input length and `max_tokens` exceed context limit: 198000 + 21333 > 200000"),
        errors.ContextWindowExceeded,
    ),
    "anthropic-too-large": ((413,), anthropic_body("Too big.", "request_too_large"), errors.ContextWindowExceeded),
    "anthropic-credit": (
        (400,),
        anthropic_body("Your credit balance is too low to access the Anthropic API."),
        errors.UpstreamQuotaExhausted,
    ),
    "anthropic-limit-of-the-month": (
        (400,),
        anthropic_body("You have reached your specified API usage limits. You will regain access on 2030-01-01."),
        errors.UpstreamQuotaExhausted,
    ),
    "anthropic-filter": (
        (400,),
        anthropic_body("Output blocked by content filtering policy"),
        errors.ContentPolicyViolated,
    ),
    "anthropic-parameter": (
        (400,),
        anthropic_body("top_k: Extra inputs are not permitted"),
        errors.UpstreamParameterUnsupported,
    ),
    "anthropic-overloaded": ((529,), anthropic_body("Overloaded", "overloaded_error"), errors.UpstreamOverloaded),
    "google-key": (
        (400,),
        google_body(
            "API key not valid. Please pass a valid API key.", 400, "INVALID_ARGUMENT", reason="API_KEY_INVALID"
        ),
        errors.UpstreamCredentialsRejected,
    ),
    "google-key-in-a-list": (
        (400,),
        [google_body("API key expired.", 400, "INVALID_ARGUMENT", reason="API_KEY_INVALID")],
        errors.UpstreamCredentialsRejected,
    ),
    "google-argument": ((400,), google_body("Odd.", 400, "INVALID_ARGUMENT"), errors.UpstreamRejectedRequest),
    "google-location": (
        (400,),
        google_body("User location is not supported for the API use.", 400, "FAILED_PRECONDITION"),
        errors.UpstreamRejectedRequest,
    ),
    "google-billing": (
        (403,),
        google_body("This API method requires billing.", 403, "PERMISSION_DENIED", reason="BILLING_DISABLED"),
        errors.UpstreamQuotaExhausted,
    ),
    "google-quota-of-the-minute": (
        (429,),
        google_body("You exceeded your current quota.", 429, "RESOURCE_EXHAUSTED", reason="RATE_LIMIT_EXCEEDED"),
        errors.UpstreamRateLimited,
    ),
    "google-context": (
        (400,),
        google_body("The input token count is 40000 but model only supports up to 32768.", 400, "INVALID_ARGUMENT"),
        errors.ContextWindowExceeded,
    ),
    "google-parameter": (
        (400,),
        google_body('Invalid JSON payload received. Unknown name "x": Cannot find field.', 400, "INVALID_ARGUMENT"),
        errors.UpstreamParameterUnsupported,
    ),
    "balance-phrase": (
        (402, 429),
        openai_body("Insufficient balance or no resource package. Please recharge.", "1113"),
        errors.UpstreamQuotaExhausted,
    ),
    "spending-limit": (
        (412, 429),
        openai_body("Your team has reached its monthly spending limit."),
        errors.UpstreamQuotaExhausted,
    ),
    "key-in-a-400": (
        (400,),
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ey."},
        errors.UpstreamCredentialsRejected,
    ),
    "context-xai": (
        (400,),
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 8 but it has 9.",
        },
        errors.ContextWindowExceeded,
    ),
    "validation-list": (
        (422,),
        {"detail": [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required"}]},
        errors.UpstreamRejectedRequest,
    ),
    "validation-list-of-another-type": ((422,), {"detail": [7, {"msg": 7}]}, errors.UpstreamRejectedRequest),
    "validation-list-that-is-empty": ((422,), {"message": {"detail": []}}, errors.UpstreamRejectedRequest),
    "overloaded-in-a-429": ((429,), openai_body("Busy.", None, "engine_overloaded_error"), errors.UpstreamOverloaded),
    "a-call-that-the-model-spoilt": ((400,), openai_body("No.", "tool_use_failed"), errors.UpstreamMalformedResponse),
    "model-retired": ((410,), openai_body("The model is no longer available."), errors.UpstreamModelMissing),
    "google-overloaded": ((503,), google_body("Overloaded.", 503, "UNAVAILABLE"), errors.UpstreamOverloaded),
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
    error = convert(http_failure(status, body, {"retry-after": "7"}))

    assert type(error) is expected
    assert error.http_status == status
    timed = expected in {errors.UpstreamFailed, errors.UpstreamRateLimited, errors.UpstreamOverloaded}
    assert error.retry_after_seconds == (7.0 if timed else None)


def test_no_db_connection_with_the_callers_key() -> None:
    """A proxy without a database refuses a virtual key as `no_db_connection`.

    A caller's own key makes it the caller's failure.
    """
    error = convert(http_failure(400, openai_body("No connected db.", "400", "no_db_connection")), CALLERS_KEY)

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
    error = convert(http_failure(400, openai_body("Unsupported parameter.", "unsupported_parameter", None, param)))

    assert type(error) is errors.UpstreamParameterUnsupported
    assert error.violations == tuple(FieldViolation(field, "The model does not take it.") for field in fields)


@pytest.mark.parametrize(
    ("location", "fields"),
    [
        (["body", "top_k"], ["sampling.top_k"]),
        (["body", "response_format", "json_schema"], ["response_format"]),
        (["body"], []),
        (["query", "top_k"], []),
        (["body", 7], []),
        ("body", []),
        (None, []),
    ],
)
def test_a_validation_error_names_its_field(location: object, fields: list[str]) -> None:
    """A parameter that a server's validation refuses becomes a field, wherever the list of its errors stands."""
    listed = [{"type": "extra_forbidden", "loc": location, "msg": "Extra inputs are not permitted"}]

    for body in ({"detail": listed}, {"object": "error", "message": {"detail": listed}, "code": None}):
        error = convert(http_failure(422, body))

        assert type(error) is errors.UpstreamParameterUnsupported
        assert [violation.field for violation in error.violations] == fields


def test_a_parameter_of_another_failure_is_not_named() -> None:
    """A request that is refused for its content names no field that the model does not take."""
    error = convert(http_failure(400, openai_body("Too long.", "context_length_exceeded", None, "messages")))

    assert error.violations == ()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'data: {"error": {"code": "insufficient_quota"}}\n\ndata: [DONE]\n\n', QUOTA, id="data"),
        pytest.param(b'event: error\r\ndata: {"code": "insufficient_quota"}\r\n\r\n', QUOTA, id="a named event"),
        pytest.param(b': wait\n\ndata: {"error":\ndata: {"type": "insufficient_quota"}}', QUOTA, id="two lines"),
        pytest.param(b"data: [DONE]\n\n", errors.UpstreamRateLimited, id="no error"),
        pytest.param(b"data: {half", errors.UpstreamRateLimited, id="half an event"),
        pytest.param(b"data of another kind", errors.UpstreamRateLimited, id="text"),
    ],
)
def test_the_body_of_a_failed_status_may_be_an_event_stream(body: bytes, expected: type[UpstreamError]) -> None:
    """The first event of a stream under a failed status is the error; without one, the status decides."""
    error = convert(http_failure(429, body))

    assert type(error) is expected
    assert error.http_status == 429


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
    "a-word-beside-invalid_request_error": (
        {"type": "invalid_request_error", "code": "unauthorized"},
        errors.UpstreamCredentialsRejected,
        401,
    ),
    "a-name-of-grpc": ({"code": "The service is currently unavailable"}, errors.UpstreamOverloaded, 503),
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
    error = convert(ErrorInAnswer(found))

    assert type(error) is expected
    assert error.http_status == status
    assert error.retry_after_seconds is None
