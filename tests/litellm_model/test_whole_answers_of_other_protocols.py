"""What callers see when an upstream with its own protocol answers a streaming request without a stream."""

import json
from typing import Any, Final

import pytest

from tests.support.native_events import Json, anthropic_error, google_error, google_response, google_text
from tests.support.received import receive_answer
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

MESSAGE: Final[Json] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    ],
    "stop_reason": "tool_use",
    "usage": {"input_tokens": 11, "output_tokens": 7},
}
RESPONSE: Final = google_response(
    google_text("hm", thought=True),
    google_text("Let me look."),
    {"functionCall": {"id": "toolu_1", "name": "weather", "args": {"city": "Oslo"}}},
    word="STOP",
    usageMetadata={"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
)
CONVERSED: Final[Json] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm"}}},
                {"text": "Let me look."},
                {"toolUse": {"toolUseId": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}},
            ],
        }
    },
    "stopReason": "tool_use",
    "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
}


@pytest.mark.parametrize(
    ("model", "whole"),
    [
        pytest.param("anthropic", MESSAGE, id="anthropic"),
        pytest.param("gemini", RESPONSE, id="gemini"),
        pytest.param("gemini", [google_response(), RESPONSE], id="gemini-list"),
        pytest.param("bedrock", CONVERSED, id="bedrock"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/vnd.api+json"])
async def test_whole_answer_instead_of_a_stream(
    upstream: FakeUpstream, native_server: RunningServer, model: str, whole: Any, content_type: str
) -> None:
    """An upstream that answers a streaming request with one JSON body is understood, whatever type it gives."""
    upstream.body(json.dumps(whole).encode(), content_type=content_type)

    answer = await receive_answer(native_server.client(), model=model)

    summary = answer.summary()
    assert summary.pop("ended") in {"TOOL_CALLS tool_use", "TOOL_CALLS STOP"}
    assert summary == {
        "reasoning": "hm",
        "text": "Let me look.",
        "calls": [["toolu_1", "weather", '{"city": "Oslo"}', ""]],
        "tokens": [11, 7],
    }


@pytest.mark.parametrize(
    "script",
    [
        pytest.param({"data": b"<html>busy</html>", "content_type": "text/html"}, id="html"),
        pytest.param({"data": b"<html>busy</html>"}, id="html-called-json"),
        pytest.param({"data": b"<html>busy</html>", "content_type": "text/event-stream"}, id="html-called-stream"),
        pytest.param({"data": b"{}"}, id="empty-object"),
        pytest.param({"data": b'{"type": "message", "content": [{}]}'}, id="block-without-a-type"),
        pytest.param({"data": b"[7]"}, id="no-object"),
    ],
)
async def test_success_without_an_answer(
    upstream: FakeUpstream, native_server: RunningServer, native_provider: str, script: Json
) -> None:
    """A 200 without an answer of the protocol is malformed, and tried once more."""
    upstream.always.body(**script)

    answer = await receive_answer(native_server.client(), model=native_provider)

    assert answer.error == "UPSTREAM_MALFORMED_RESPONSE"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    ("model", "status", "body", "reason"),
    [
        (
            "anthropic",
            400,
            anthropic_error("invalid_request_error", "prompt is too long: 9 > 8 maximum"),
            "CONTEXT_WINDOW_EXCEEDED",
        ),
        (
            "anthropic",
            400,
            anthropic_error("invalid_request_error", "Your credit balance is too low to access"),
            "UPSTREAM_QUOTA_EXHAUSTED",
        ),
        ("anthropic", 400, anthropic_error("invalid_request_error", "max_tokens: 99 > 8"), "UPSTREAM_REJECTED_REQUEST"),
        (
            "anthropic",
            401,
            anthropic_error("authentication_error", "invalid x-api-key"),
            "UPSTREAM_CREDENTIALS_REJECTED",
        ),
        ("anthropic", 404, anthropic_error("not_found_error", "model: claude"), "UPSTREAM_MODEL_MISSING"),
        ("anthropic", 413, anthropic_error("request_too_large"), "CONTEXT_WINDOW_EXCEEDED"),
        ("anthropic", 429, anthropic_error("rate_limit_error"), "UPSTREAM_RATE_LIMITED"),
        ("anthropic", 529, anthropic_error("overloaded_error"), "UPSTREAM_OVERLOADED"),
        (
            "gemini",
            400,
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "API key not valid.",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            },
            "UPSTREAM_CREDENTIALS_REJECTED",
        ),
        (
            "gemini",
            400,
            google_error(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."
            ),
            "CONTEXT_WINDOW_EXCEEDED",
        ),
        ("gemini", 400, google_error(400, "INVALID_ARGUMENT"), "UPSTREAM_REJECTED_REQUEST"),
        ("gemini", 403, google_error(403, "PERMISSION_DENIED"), "UPSTREAM_CREDENTIALS_REJECTED"),
        ("gemini", 404, google_error(404, "NOT_FOUND"), "UPSTREAM_MODEL_MISSING"),
        ("gemini", 429, google_error(429, "RESOURCE_EXHAUSTED"), "UPSTREAM_RATE_LIMITED"),
        ("gemini", 503, google_error(503, "UNAVAILABLE"), "UPSTREAM_OVERLOADED"),
    ],
)
async def test_http_errors(
    upstream: FakeUpstream, native_server: RunningServer, model: str, status: int, body: Json, reason: str
) -> None:
    """The body of an error is read in the form of each protocol."""
    upstream.always.fail(status, body=body)

    answer = await receive_answer(native_server.client(), model=model)

    assert answer.error == reason
