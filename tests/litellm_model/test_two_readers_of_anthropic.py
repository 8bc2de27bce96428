"""Recorded answers of Anthropic's Messages API mean the same when our reader and when litellm reads them.

tests/support/recorded_anthropic has answers as Anthropic and servers with its protocol send them, one file each.
litellm reads them behind the observer that other prefixes of this protocol have. How deltas are grouped may differ; all
else is compared.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model.calls import create_call
from reasoning_grpc.litellm_model.completion_call import CompletionCall
from reasoning_grpc.litellm_model.request import prepare_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.translated_call import TranslatedCall
from reasoning_grpc.litellm_model.transport.http_transport import HttpTransport
from tests.support.adapter_reading import play, read_answer
from tests.support.native_events import Json
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.unsent import a_deployment, a_model_call
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.thorough

MODEL: Final = "anthropic"
SUPPORT: Final = Path(__file__).parents[1] / "support"
RECORDED: Final = {path.stem: path for path in sorted((SUPPORT / "recorded_anthropic").iterdir())}
SHARED: Final = {
    f"{path.parent.name}-{path.stem}": path
    for pattern in ("families/anthropic-*/*.sse", "promised/anthropic/*.sse")
    for path in sorted(SUPPORT.glob(pattern))
}
"""Recordings whose meaning other tests check."""

IN_TURNS: Final = "litellm gives every delta of a call to the last call, so its observer stops it"
DIFFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "calls-in-turns": dict.fromkeys(("order", "calls", "usage", "error", "finish_reason", "word"), IN_TURNS),
}
"""What litellm's reader gives differently, by recording, and why."""

EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "cache": {"text": "Salt", "ended": "STOP end_turn", "tokens": [406, 9]},
    "call-by-code": {
        "calls": [["toolu_01A", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "call-cut-by-the-limit": {
        "calls": [["toolu_01A", "weather", '{"city":"Os', ""]],
        "ended": "LENGTH max_tokens",
        "tokens": [25, 12],
    },
    "call-that-ends-like-a-text": {
        "calls": [["toolu_01A", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS end_turn",
        "tokens": [25, 12],
    },
    "call-with-input-as-text": {
        "calls": [["c1", "weather", '{"city":"Oslo"}', ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "call-without-a-name": {"text": "Let me look.", "error": "UPSTREAM_MALFORMED_RESPONSE"},
    "calls-in-turns": {
        "calls": [["toolu_01A", "weather", '{"city":"Oslo"}', ""], ["toolu_01B", "clock", '{"zone":"CET"}', ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "calls-with-one-id": {
        "calls": [
            ["call_0", "weather", '{"city": "Oslo"}', ""],
            ["", "weather", '{"city": "Bergen"}', ""],
            ["", "now", "{}", ""],
        ],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "calls": {
        "text": "Let me look.",
        "calls": [["toolu_01A", "weather", '{"city":"Oslo"}', ""], ["toolu_01B", "now", "{}", ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "code-execution": {"text": "One file.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "compaction": {"text": "Salt.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "content-in-the-start": {"text": "Salt", "ended": "LENGTH max_tokens", "tokens": [25, 4]},
    "context-window": {"text": "Salt and", "ended": "LENGTH model_context_window_exceeded", "tokens": [25, 12]},
    "counts-at-the-end": {"text": "Salt", "ended": "STOP end_turn", "tokens": [142, 9]},
    "counts-in-parts": {"text": "Salt", "ended": "STOP end_turn", "tokens": [25, 9]},
    "cut-after-the-start": {"error": "UPSTREAM_EMPTY_RESPONSE"},
    "cut-before-the-reason": {"text": "Half", "error": "UPSTREAM_STREAM_TRUNCATED"},
    "cut-in-a-text": {"text": "Half", "error": "UPSTREAM_STREAM_TRUNCATED"},
    "cut-in-an-event": {"text": "Half", "error": "UPSTREAM_MALFORMED_RESPONSE"},
    "half-surrogates": {"text": "ok 😀 half �", "ended": "STOP end_turn", "tokens": [25, 12]},
    "marks-in-the-text": {
        "text": "The stream ends with `data: [DONE]` and lines\u2028with\u2029odd\x85ends, "
        'data: {"a": 1}\n\nevent: error',
        "ended": "STOP end_turn",
        "tokens": [25, 12],
    },
    "mcp-tools": {"text": "It says hi.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "new-kinds": {"text": "Salt", "ended": "STOP end_turn", "tokens": [25, 12]},
    "new-stop-reason": {"text": "Salt", "ended": "OTHER brand_new", "tokens": [25, 12]},
    "no-counts": {"text": "Salt", "ended": "STOP end_turn"},
    "no-message-stop": {"text": "Salt", "ended": "STOP end_turn", "tokens": [25, 12]},
    "nulls": {"text": "x", "ended": "STOP end_turn"},
    "overloaded-without-a-name": {"text": "Half", "error": "UPSTREAM_OVERLOADED"},
    "overloaded": {"text": "Half", "error": "UPSTREAM_OVERLOADED"},
    "pause": {"text": "I go on", "ended": "OTHER pause_turn", "tokens": [25, 12]},
    "refusal-at-once": {"ended": "CONTENT_FILTER refusal", "tokens": [25, 0]},
    "refusal": {"text": "I will", "ended": "CONTENT_FILTER refusal", "tokens": [25, 12]},
    "stop-sequence": {"text": "Salt", "ended": "STOP stop_sequence", "tokens": [25, 12]},
    "text": {"text": "Salt and light.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "thinking-between-calls": {
        "reasoning": "Oslo.Bergen.",
        "signatures": ["EqQB", "EqQC"],
        "calls": [["toolu_01A", "weather", '{"city":"Oslo"}', ""], ["toolu_01B", "weather", '{"city":"Bergen"}', ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [25, 12],
    },
    "thinking-redacted": {
        "reasoning": "Hm.",
        "signatures": ["EqQB"],
        "redacted": [b"EmwKAhgBEgy3va3p", b"EroBCkYIARgC"],
        "text": "Both.",
        "ended": "STOP end_turn",
        "tokens": [25, 12],
    },
    "thinking-withheld": {"signatures": ["EqQBCkYI"], "text": "Both.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "thinking": {
        "reasoning": "First the fjord, then the sea.",
        "signatures": ["EqQBCkYI"],
        "text": "Both.",
        "ended": "STOP end_turn",
        "tokens": [25, 40],
    },
    "web-fetch-failed": {"text": "It is not reachable.", "ended": "STOP end_turn", "tokens": [25, 12]},
    "web-search": {"text": "I look it up.It is cold in Oslo.", "ended": "STOP end_turn", "tokens": [2679, 510]},
    "whole-error": {"error": "UPSTREAM_OVERLOADED"},
    "whole": {
        "reasoning": "Hm.",
        "signatures": ["EqQB"],
        "redacted": [b"EmwK"],
        "text": "Let me look.",
        "calls": [["toolu_01A", "weather", '{"city": "Oslo"}', ""], ["toolu_01B", "now", "{}", ""]],
        "ended": "TOOL_CALLS tool_use",
        "tokens": [11, 7],
    },
    "without-names": {"text": "Salt and light.", "ended": "STOP end_turn", "tokens": [25, 12]},
}
"""What each recorded answer says, with its tokens where they were counted."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of Anthropic, which the fake upstream serves."""
    async with serving(config_for(provider_entry(upstream, MODEL, name=MODEL), max_retries=0)) as running:
        yield running


async def read(upstream: FakeUpstream, transport: HttpTransport, *, by_litellm: bool) -> Json:
    """Returns what our reader, or litellm's, reads."""
    deployment = a_deployment(f"{MODEL}/fake", api_base=upstream.api_base_for(MODEL))
    call, exchange = a_model_call(), transport.open_exchange({})
    made = (
        CompletionCall(call, deployment, exchange, prepare_call(call, deployment), {})
        if by_litellm
        else create_call(call, deployment, exchange, {}, RequestMapper())
    )
    assert isinstance(made, CompletionCall if by_litellm else TranslatedCall)
    try:
        return asdict(await read_answer(made, deployment))
    finally:
        exchange.close()


@pytest.mark.parametrize("recording", RECORDED)
async def test_our_reader_understands_every_answer(
    upstream: FakeUpstream, server: RunningServer, recording: str
) -> None:
    """Our own reader understands every recorded answer."""
    play(upstream, RECORDED[recording])

    answer = await receive_answer(server.client(), model=MODEL)

    assert answer.summary() == EXPECTED[recording]


@pytest.mark.parametrize("recording", [*RECORDED, *SHARED])
async def test_litellms_reader_agrees(upstream: FakeUpstream, transport: HttpTransport, recording: str) -> None:
    """litellm's reader gives the same answer as ours, except for the listed differences."""
    path = (RECORDED | SHARED)[recording]
    play(upstream, path)
    own = await read(upstream, transport, by_litellm=False)
    play(upstream, path)

    other = await read(upstream, transport, by_litellm=True)

    assert {name for name in own if own[name] != other[name]} == DIFFERENCES.get(recording, {}).keys(), (own, other)


def test_the_tables_are_complete() -> None:
    """Each recording has its expected meaning, and no listed difference lacks its recording."""
    assert EXPECTED.keys() == RECORDED.keys()
    assert DIFFERENCES.keys() <= RECORDED.keys() | SHARED.keys()
