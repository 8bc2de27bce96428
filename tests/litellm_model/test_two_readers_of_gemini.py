"""Recorded answers of Google's Gemini API mean the same when our reader and when litellm reads them.

tests/support/recorded_gemini has answers as Google sends them, one file each. How deltas are grouped may differ; all
else is compared, except for how the answer ended: litellm never says whether Gemini sent a finish reason.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

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

MODEL: Final = "gemini"
SUPPORT: Final = Path(__file__).parents[1] / "support"
RECORDED: Final = {path.stem: path for path in sorted((SUPPORT / "recorded_gemini").iterdir())}
SHARED: Final = {
    f"{path.parent.name}-{path.stem}": path
    for folder in ("families/gemini-3", "promised/gemini")
    for path in sorted((SUPPORT / folder).glob("*.sse"))
}
"""Recordings whose meaning other tests check."""

BREAKS: Final = "litellm breaks on the answer"
NO_BODY: Final = "litellm reads only event streams"
LOST_BESIDE_CALL: Final = "beside a call, litellm loses the signature of a text"
ONE_SIGNATURE: Final = "litellm gives the signatures of one response as one"
TWICE_ENCODED: Final = "litellm encodes arguments that are JSON text once more"
SOUND: Final = "litellm takes a text that looks like a sound for one"
EARLY: Final = "litellm reads no counts of an answer before its end"
SEARCH: Final = "litellm leaves out the tokens of a search that is grounded"
NOT_CACHED: Final = "litellm counts only the sound that was not cached"
DIFFERENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "arguments-as-text": {"calls": TWICE_ENCODED},
    "call-after-signed-text": {"signatures": LOST_BESIDE_CALL},
    "call-without-arguments": {"order": BREAKS, "calls": BREAKS, "usage": BREAKS, "error": BREAKS},
    "error": {"usage": EARLY},
    "error-in-a-list": {"usage": EARLY},
    "gemini-3-failing": {"usage": EARLY},
    "gemini-failing": {"usage": EARLY},
    "list": {"order": NO_BODY, "text": NO_BODY, "usage": NO_BODY, "error": NO_BODY},
    "nulls": {"order": BREAKS, "text": BREAKS, "usage": BREAKS, "error": BREAKS},
    "search": {"usage": SEARCH},
    "sound-as-text": {"order": SOUND, "text": SOUND},
    "thoughts-signed-beside-signed-text": {"signatures": ONE_SIGNATURE},
    "usage-by-modality": {"usage": NOT_CACHED},
    "whole": dict.fromkeys(("order", "reasoning", "text", "calls", "usage", "error"), NO_BODY),
}
"""What litellm's reader gives differently, by recording, and why."""

EXPECTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "arguments-as-text": {
        "calls": [["c1", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [3, 9],
    },
    "blocked-prompt": {"ended": "CONTENT_FILTER PROHIBITED_CONTENT", "tokens": [8, 0]},
    "call-after-signed-text": {
        "signatures": ["Cg1B"],
        "text": "Let me look.",
        "calls": [["fc-1", "now", "{}", "Cg2B"]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [61, 9],
    },
    "call-without-arguments": {"calls": [["", "now", "{}", ""]], "ended": "TOOL_CALLS STOP", "tokens": [61, 5]},
    "calls-in-one-response": {
        "calls": [["", "weather", '{"city": "Oslo", "days": 2}', "CtQB"], ["", "clock", '{"zone": "CET"}', ""]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [61, 64],
    },
    "calls-in-two-responses": {
        "text": "Let me look.",
        "calls": [["fc-1", "weather", '{"city": "Tromsø"}', ""], ["fc-2", "weather", '{"city": "Bodø"}', ""]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [61, 24],
    },
    "calls-with-one-id": {
        "calls": [["fc-1", "weather", '{"city": "Oslo"}', ""], ["", "weather", '{"city": "Bergen"}', ""]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [61, 20],
    },
    "code-execution": {"text": "I count them.\nIt is 10.", "ended": "STOP STOP", "tokens": [50, 25]},
    "cut": {"text": "Half", "error": "UPSTREAM_STREAM_TRUNCATED"},
    "error-in-a-list": {"text": "Half", "error": "UPSTREAM_OVERLOADED"},
    "error": {"text": "Half", "error": "UPSTREAM_OVERLOADED"},
    "file": {"text": "Here: data:application/pdf;base64,JVBERi0=", "ended": "STOP STOP", "tokens": [20, 9]},
    "half-surrogates": {"text": "ok 😀 half �", "ended": "STOP STOP", "tokens": [3, 5]},
    "image-safety": {"ended": "CONTENT_FILTER IMAGE_SAFETY", "tokens": [8, 0]},
    "image": {"text": "Here: ", "ended": "STOP STOP", "tokens": [20, 1294]},
    "json-mode": {"text": '{"celsius": 4}', "ended": "STOP STOP", "tokens": [24, 7]},
    "language": {"ended": "OTHER LANGUAGE", "tokens": [8, 0]},
    "list-of-an-error": {"error": "UPSTREAM_RATE_LIMITED"},
    "list": {"text": "Salt and light.", "ended": "STOP STOP", "tokens": [7, 5]},
    "logprobs": {"text": "Já.", "ended": "STOP STOP", "tokens": [8, 2]},
    "malformed-function-call": {"ended": "OTHER MALFORMED_FUNCTION_CALL", "tokens": [61, 0]},
    "marks-in-the-text": {
        "text": "The stream ends with `data: [DONE]` and lines\u2028with\u2029odd\x85ends, "
        'data: {"a": 1}\n\nevent: error',
        "ended": "STOP STOP",
        "tokens": [3, 20],
    },
    "max-tokens": {"text": "Salt and", "ended": "LENGTH MAX_TOKENS", "tokens": [7, 2]},
    "nulls": {"text": "x", "ended": "STOP STOP", "tokens": [3, 1]},
    "rated-prompt": {"text": "Fine.", "ended": "STOP STOP", "tokens": [8, 2]},
    "recitation": {"text": "It was the best", "ended": "CONTENT_FILTER RECITATION", "tokens": [8, 4]},
    "safety": {"text": "First, take", "ended": "CONTENT_FILTER SAFETY", "tokens": [8, 3]},
    "search-alone-in-a-response": {"text": "4 degrees.", "ended": "STOP STOP", "tokens": [12, 3]},
    "search": {"text": "It is 4 degrees in Oslo.", "ended": "STOP STOP", "tokens": [102, 8]},
    "server-tools": {"signatures": ["Cg4B"], "text": "4 degrees.", "ended": "STOP STOP", "tokens": [12, 5]},
    "signed-code": {"signatures": ["Cg3B"], "text": "One.", "ended": "STOP STOP", "tokens": [20, 5]},
    "signed-end-in-one-response": {"signatures": ["Cg2B"], "text": "Both.", "ended": "STOP STOP", "tokens": [9, 2]},
    "signed-end": {"signatures": ["Cg2B"], "text": "Both.", "ended": "STOP STOP", "tokens": [9, 2]},
    "signed-text": {"signatures": ["Cg2B"], "text": "Both.", "ended": "STOP STOP", "tokens": [9, 2]},
    "sound-as-text": {"text": "data:audio/wav;base64,UklGRg==", "ended": "STOP STOP", "tokens": [3, 9]},
    "sound": {"ended": "STOP STOP", "tokens": [20, 40]},
    "text-in-two-parts": {"text": "Salt and light.", "ended": "STOP STOP", "tokens": [7, 5]},
    "text-with-an-empty-end": {"text": "Salt and light.", "ended": "STOP STOP", "tokens": [7, 5]},
    "text": {"text": "Salt and light.", "ended": "STOP STOP", "tokens": [7, 5]},
    "thoughts-alone": {"ended": "LENGTH MAX_TOKENS", "tokens": [9, 64]},
    "thoughts-beside-text": {"reasoning": "Hm.", "text": "Both.", "ended": "STOP STOP", "tokens": [9, 33]},
    "thoughts-counted-in-the-text": {"text": "Both.", "ended": "STOP STOP", "tokens": [9, 33]},
    "thoughts-signed-beside-signed-text": {
        "reasoning": "Hm.",
        "signatures": ["Cg1B", "Cg2B"],
        "text": "Both.",
        "ended": "STOP STOP",
        "tokens": [9, 33],
    },
    "thoughts": {
        "reasoning": "**Weighing**\n\nSalt first.\nThen light.",
        "text": "Both.",
        "ended": "STOP STOP",
        "tokens": [9, 33],
    },
    "unexpected-tool-call": {"ended": "OTHER UNEXPECTED_TOOL_CALL", "tokens": [61, 0]},
    "usage-after-the-end": {"text": "Both.", "ended": "STOP STOP", "tokens": [9, 2]},
    "usage-by-modality": {"text": "A dog barks.", "ended": "STOP STOP", "tokens": [330, 11]},
    "usage-not-sent": {"text": "Both.", "ended": "STOP STOP"},
    "whole": {
        "reasoning": "Hm.",
        "text": "Let me look.",
        "calls": [["fc-1", "weather", '{"city": "Oslo"}', ""]],
        "ended": "TOOL_CALLS STOP",
        "tokens": [11, 7],
    },
    "words-in-each-response": {"text": "a b", "ended": "STOP STOP", "tokens": [3, 2]},
}
"""What each recorded answer says, with its tokens where Google counted them."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of Gemini, which the fake upstream serves."""
    async with serving(config_for(provider_entry(upstream, MODEL, name=MODEL), max_retries=0)) as running:
        yield running


async def read(upstream: FakeUpstream, transport: HttpTransport, *, by_litellm: bool) -> Json:
    """Returns what our reader, or litellm's, reads."""
    deployment = a_deployment(f"{MODEL}/fake", api_base=f"http://127.0.0.1:{upstream.port}/v1beta")
    call, exchange = a_model_call(), transport.open_exchange({})
    if by_litellm:
        reading = await read_answer(
            CompletionCall(call, deployment, exchange, prepare_call(call, deployment), {}), deployment
        )
    else:
        made = create_call(call, deployment, exchange, {}, RequestMapper())
        assert isinstance(made, TranslatedCall)
        reading = await read_answer(made, deployment)
    exchange.close()
    members = asdict(reading)
    del members["finish_reason"], members["word"]
    assert reading.usage is not None
    # litellm makes 0 of no count
    members["usage"] = replace(reading.usage, reasoning_tokens=reading.usage.reasoning_tokens or 0)
    return members


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
