"""What callers see of errors that OpenAI's Responses API reports within its answers."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final, get_args

import pytest
from openai.types.responses.response_error import ResponseError

from reasoning_grpc.client import CallFailed
from tests.support.factories import a_wire_request
from tests.support.received import receive_answer
from tests.support.responses_events import Json, delta, end, make_response
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

CODES: Final[dict[str, tuple[str, str]]] = {
    "server_error": ("UPSTREAM_ERROR", ""),
    "rate_limit_exceeded": ("UPSTREAM_RATE_LIMITED", "429"),
    "invalid_prompt": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "data_residency_mismatch": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "bio_policy": ("CONTENT_POLICY", "400"),
    "vector_store_timeout": ("UPSTREAM_TIMEOUT", "504"),
    "invalid_image": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "invalid_image_format": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "invalid_base64_image": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "invalid_image_url": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_too_large": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_too_small": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_parse_error": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_content_policy_violation": ("CONTENT_POLICY", "400"),
    "invalid_image_mode": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_file_too_large": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "unsupported_image_media_type": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "empty_image_file": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "failed_to_download_image": ("UPSTREAM_REJECTED_REQUEST", "400"),
    "image_file_not_found": ("UPSTREAM_REJECTED_REQUEST", "400"),
}
"""The documented codes."""
OTHER_CODES: Final[dict[str, tuple[str, str]]] = {
    "context_length_exceeded": ("CONTEXT_WINDOW_EXCEEDED", ""),
    "insufficient_quota": ("UPSTREAM_QUOTA_EXHAUSTED", ""),
    "cyber_policy": ("CONTENT_POLICY", "400"),
    "model_not_found": ("UPSTREAM_MODEL_MISSING", ""),
    "server_is_overloaded": ("UPSTREAM_OVERLOADED", "503"),
    "slow_down": ("UPSTREAM_OVERLOADED", "503"),
    "a_code_of_tomorrow": ("UPSTREAM_ERROR", ""),
}
"""Codes that OpenAI sends, although its reference does not list them."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server whose model has the Responses API."""
    async with serving(config_for(provider_entry(upstream, "responses"), max_retries=0)) as running:
        yield running


def test_every_documented_code_is_tried() -> None:
    """The table of these tests has every code of OpenAI's reference."""
    assert CODES.keys() == set(get_args(ResponseError.model_fields["code"].annotation))


def as_failed(error: Json) -> Json:
    """Returns the event of a response that failed."""
    return end("failed", error=error)


def as_flat_event(error: Json) -> Json:
    """Returns an event that is the error."""
    return {"type": "error", **error, "param": None, "sequence_number": 4}


def as_nested_event(error: Json) -> Json:
    """Returns an event that holds the error."""
    return {"type": "error", "sequence_number": 4, "error": {"type": "invalid_request_error", **error}}


@pytest.mark.parametrize("form", [as_failed, as_flat_event], ids=["failed", "event"])
@pytest.mark.parametrize(("code", "expected"), (CODES | OTHER_CODES).items(), ids=(CODES | OTHER_CODES).keys())
async def test_codes(
    upstream: FakeUpstream, server: RunningServer, form: Any, code: str, expected: tuple[str, str]
) -> None:
    """Each code has its reason, whether the response failed or an event reports the error; the text so far is known."""
    upstream.lines(delta("Half"), form({"code": code, "message": UPSTREAM_SECRET}))

    answer = await receive_answer(server.client())

    assert (answer.error, answer.http_status, answer.text, answer.finish) == (*expected, "Half", "")
    assert answer.interruption is not None
    assert answer.interruption.content_characters == 4


CONTEXT: Final = {"code": "context_length_exceeded", "message": "Your input exceeds the context window of this model."}
POLICY: Final = {
    "code": "invalid_prompt",
    "message": "Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
}
FORMS: Final[dict[str, tuple[Json, str]]] = {
    "nested": (as_nested_event(CONTEXT), "CONTEXT_WINDOW_EXCEEDED"),
    "nested-overload": (
        {"type": "error", "error": {"type": "service_unavailable_error", "code": "server_is_overloaded"}},
        "UPSTREAM_OVERLOADED",
    ),
    "a-prompt-against-the-policy": (as_failed(POLICY), "CONTENT_POLICY"),
    "a-document-that-failed": (make_response("failed", error=CONTEXT), "CONTEXT_WINDOW_EXCEEDED"),
    "failed-without-an-error": (end("failed"), "UPSTREAM_ERROR"),
    "cancelled": (end("cancelled"), "UPSTREAM_ERROR"),
    "cancelled-document": (make_response("cancelled"), "UPSTREAM_ERROR"),
}


@pytest.mark.parametrize(("event", "reason"), FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize("is_stream", [True, False], ids=["in-a-stream", "as-a-document"])
async def test_forms(upstream: FakeUpstream, server: RunningServer, event: Json, reason: str, is_stream: bool) -> None:
    """An error is reported in every form, also where it is the whole answer, and nothing of its text is shown."""
    if is_stream:
        upstream.lines(event)
    else:
        upstream.body(json.dumps(event).encode())

    answer = await receive_answer(server.client())

    assert (answer.error, answer.text, answer.finish) == (reason, "", "")


async def test_a_delay_in_the_message(upstream: FakeUpstream, server: RunningServer) -> None:
    """The delay that a message names is the caller's; OpenAI writes it nowhere else in a stream."""
    message = "Rate limit reached for gpt-5.6 on tokens per min. Please try again in 1.5s."
    upstream.lines(end("failed", error={"code": "rate_limit_exceeded", "message": message}))

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(a_wire_request())

    assert (failed.value.reason, failed.value.retry_after_seconds) == ("UPSTREAM_RATE_LIMITED", 1.5)


async def test_counts_of_a_failed_response(upstream: FakeUpstream, server: RunningServer) -> None:
    """What the provider has counted of a response that failed is reported."""
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    upstream.lines(delta("Half"), end("failed", error={"code": "server_error"}, usage=usage))

    answer = await receive_answer(server.client())

    assert answer.interruption is not None
    assert (answer.interruption.usage.input_tokens, answer.interruption.usage.output_tokens) == (5, 2)
