"""What callers see of errors inside answers, wherever providers put them, before and after the first delta."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from tests.support.native_events import Json, anthropic_stream, google_response, google_text, text_block
from tests.support.received import receive_answer
from tests.support.responses_events import delta
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream, chunk

pytestmark = pytest.mark.thorough

OPENAI_PROVIDERS: Final = ("openai", "hosted_vllm", "openrouter")
PROVIDERS: Final = (*OPENAI_PROVIDERS, "responses", "anthropic", "gemini")


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of both readers of the OpenAI protocol, and of two other protocols, without retries."""
    entries = [model_entry(upstream.api_base, name, litellm_model=f"{name}/fake") for name in OPENAI_PROVIDERS]
    entries += [provider_entry(upstream, name, name=name) for name in ("responses", "anthropic", "gemini")]
    async with serving(config_for(*entries, max_retries=0)) as running:
        yield running


def in_choice(error: Any, word: str | None = "stop", **choice: Any) -> Json:
    """Returns a chunk of the OpenAI protocol with an error in its choice."""
    return chunk({"content": ""}, word) | {
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": word, "error": error, **choice}]
    }


def named(data: Any, name: str = "error") -> str:
    """Returns a server-sent event with a name."""
    return f"event: {name}\ndata: {data if isinstance(data, str) else json.dumps(data)}"


def first_delta(provider: str) -> list[Json]:
    """Returns the start of an answer with the text "Half"."""
    if provider == "anthropic":
        return anthropic_stream(text_block(0, "Half"))
    if provider == "responses":
        return [delta("Half")]
    return [google_response(google_text("Half"))] if provider == "gemini" else [chunk({"content": "Half"})]


IN_CHUNKS: Final[dict[str, tuple[Json, str, str]]] = {
    "in-the-choice": (in_choice({"code": 504, "message": "slow"}), "UPSTREAM_TIMEOUT", "504"),
    "in-the-choice-without-finish": (in_choice({"code": 429}, None), "UPSTREAM_RATE_LIMITED", "429"),
    "in-the-choice-as-text": (in_choice("broken", "error"), "UPSTREAM_ERROR", ""),
    "in-the-delta": (in_choice(None, None, delta={"error": {"code": 503}}), "UPSTREAM_OVERLOADED", "503"),
    "in-the-message": (
        in_choice(None, "stop", delta=None, message={"content": "x", "error": {"code": 502}}),
        "UPSTREAM_ERROR",
        "502",
    ),
    "beside-choices": (in_choice(None, None) | {"error": {"code": 502}}, "UPSTREAM_ERROR", "502"),
}
"""Errors in chunks of the OpenAI protocol."""

ANYWHERE: Final[dict[str, tuple[Json | str, str, str]]] = {
    "at-the-top": ({"error": {"code": 429, "message": "slow down"}}, "UPSTREAM_RATE_LIMITED", "429"),
    "text-with-a-code-beside": ({"error": "busy", "code": 503}, "UPSTREAM_OVERLOADED", "503"),
    "code-beside-an-object": (
        {"status_code": 504, "error": {"code": None, "message": "slow"}},
        "UPSTREAM_TIMEOUT",
        "504",
    ),
    "a-flag": ({"error": True, "message": "busy", "code": 503}, "UPSTREAM_OVERLOADED", "503"),
    "object-error": (
        {"object": "error", "message": "busy", "type": "ServerError", "code": 503},
        "UPSTREAM_OVERLOADED",
        "503",
    ),
    "type-error": ({"type": "error", "error": {"type": "overloaded_error"}}, "UPSTREAM_OVERLOADED", "529"),
    "bare": ({"message": "Overloaded", "code": 503}, "UPSTREAM_OVERLOADED", "503"),
    "a-title": ({"status": 429, "title": "Too Many Requests"}, "UPSTREAM_RATE_LIMITED", "429"),
    "detail": ({"detail": "busy", "status": 502}, "UPSTREAM_ERROR", "502"),
    "a-code-with-a-fraction-of-zero": ({"error": {"code": 503.0}}, "UPSTREAM_OVERLOADED", "503"),
    "a-status-of-azures-gateway": ({"statusCode": 429, "message": "Wait."}, "UPSTREAM_RATE_LIMITED", "429"),
    "a-status-in-the-words-of-minimax": (
        {"type": "error", "error": {"type": "x", "http_code": "529"}},
        "UPSTREAM_OVERLOADED",
        "529",
    ),
    "a-status-in-the-words-of-tgi": (
        {"error": {"message": "busy", "http_status_code": 429}},
        "UPSTREAM_RATE_LIMITED",
        "429",
    ),
    "a-type-in-the-words-of-tgi": ({"error": "busy", "error_type": "overloaded"}, "UPSTREAM_OVERLOADED", "529"),
    "a-bare-type": ({"message": "busy", "type": "overloaded_error"}, "UPSTREAM_OVERLOADED", "529"),
    "a-bare-status": ({"code": "503"}, "UPSTREAM_OVERLOADED", "503"),
    "a-status-as-the-error": ({"error": 429}, "UPSTREAM_RATE_LIMITED", "429"),
    "an-error-within-a-detail": (
        {"detail": {"error": {"message": "busy", "code": 503}}},
        "UPSTREAM_OVERLOADED",
        "503",
    ),
    "beside-empty-choices": ({"choices": [], "message": "busy", "code": 503}, "UPSTREAM_OVERLOADED", "503"),
    "a-line-of-json": ('{"error": {"code": 503}}', "UPSTREAM_OVERLOADED", "503"),
    "a-list-of-bodies": ('data: [{"error": {"code": 429}}]', "UPSTREAM_RATE_LIMITED", "429"),
    "a-list": ({"errors": [{"message": "slow", "code": 504}], "success": False}, "UPSTREAM_TIMEOUT", "504"),
    "a-named-event": (named({"message": "Overloaded", "code": 503}), "UPSTREAM_OVERLOADED", "503"),
    "a-named-event-with-an-error": (named({"error": {"code": 429}}), "UPSTREAM_RATE_LIMITED", "429"),
    "a-named-event-with-a-type": (named({"type": "rate_limit_error"}), "UPSTREAM_RATE_LIMITED", "429"),
    "a-named-event-of-text": (named("Overloaded"), "UPSTREAM_ERROR", ""),
    "a-named-event-without-data": ("event: error\n", "UPSTREAM_ERROR", ""),
    "the-name-after-the-data": ('data: {"code": 503}\nevent: error', "UPSTREAM_OVERLOADED", "503"),
}
"""Errors that may come in every protocol."""

CASES: Final = [
    pytest.param(provider, *case, id=f"{name}-{provider}")
    for cases, providers in ((IN_CHUNKS, OPENAI_PROVIDERS), (ANYWHERE, PROVIDERS))
    for name, case in cases.items()
    for provider in providers
]


@pytest.mark.parametrize(("provider", "error", "reason", "http_status"), CASES)
async def test_an_error_after_the_first_delta(
    upstream: FakeUpstream, server: RunningServer, provider: str, error: Json | str, reason: str, http_status: str
) -> None:
    """An error after text ends the answer with the error that it carries, and with the progress so far."""
    upstream.lines(*first_delta(provider), error, chunk({}, "stop"))

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.error, answer.http_status, answer.text, answer.finish) == (reason, http_status, "Half", "")
    assert answer.interruption is not None
    assert answer.interruption.content_characters == 4


@pytest.mark.parametrize(("provider", "error", "reason", "http_status"), CASES)
async def test_an_error_before_the_first_delta(
    upstream: FakeUpstream, server: RunningServer, provider: str, error: Json | str, reason: str, http_status: str
) -> None:
    """An error that comes first is reported with the code that it carries, too."""
    upstream.lines(error)

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.error, answer.http_status, answer.text, answer.finish) == (reason, http_status, "", "")


@pytest.mark.parametrize(
    ("provider", "error", "reason", "http_status"), [case for case in CASES if isinstance(case.values[1], dict)]
)
async def test_an_error_in_a_whole_body(
    upstream: FakeUpstream, server: RunningServer, provider: str, error: Json, reason: str, http_status: str
) -> None:
    """An error in a body that is no stream is reported with the code that it carries, too."""
    upstream.body(json.dumps(error).encode(), content_type="application/json")

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.error, answer.http_status, answer.text, answer.finish) == (reason, http_status, "", "")


async def test_an_error_in_a_candidate(upstream: FakeUpstream, server: RunningServer) -> None:
    """An error in the place of Google's candidate is reported with its code."""
    upstream.lines(google_response(google_text("Half")), {"candidates": [{"index": 0, "error": {"code": 503}}]})

    answer = await receive_answer(server.client(), model="gemini")

    assert (answer.error, answer.http_status, answer.text) == ("UPSTREAM_OVERLOADED", "503", "Half")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_event_that_keeps_the_connection_alive(
    upstream: FakeUpstream, server: RunningServer, provider: str
) -> None:
    """Events named `ping` may come at any time, and have no content that counts."""
    upstream.lines(named("{}", "ping"), *first_delta(provider), named("still here", "ping"), {"error": {"code": 503}})

    answer = await receive_answer(server.client(), model=provider)

    assert (answer.error, answer.text) == ("UPSTREAM_OVERLOADED", "Half")


@pytest.mark.parametrize("provider", OPENAI_PROVIDERS[:1])
async def test_the_counts_beside_an_error(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """What the provider has counted when it reports an error is known."""
    counts = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    upstream.lines(*first_delta(provider), {"error": {"code": 500}, "usage": counts})

    answer = await receive_answer(server.client(), model=provider)

    assert answer.interruption is not None
    assert (answer.interruption.usage.input_tokens, answer.interruption.usage.output_tokens) == (5, 2)


async def test_an_event_named_error_in_a_text_is_text(upstream: FakeUpstream, server: RunningServer) -> None:
    """Neither a text that looks like an error nor an event with another name is an error."""
    text = 'event: error\ndata: {"error": {"code": 500}}'
    upstream.lines(named(chunk({"content": text}), "delta"), chunk({}, "stop"))

    answer = await receive_answer(server.client(), model="openai")

    assert (answer.text, answer.finish) == (text, "STOP")
