"""What callers see of answers in Ollama's own protocol."""

import json
from typing import Any, Final

import pytest

from tests.support.native_events import MARKS, Json
from tests.support.received import receive_answer
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

WORDS: Final = "word0 word1 word2 "


def ollama_line(content: str = "", *, done: bool = False, **message: Any) -> Json:
    """Returns a line of Ollama's with text."""
    end = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3} if done else {}
    return {"model": "m", "message": {"role": "assistant", "content": content, **message}, "done": done, **end}


def ollama_call(name: str, arguments: Json) -> Json:
    """Returns a line of Ollama's with a tool call."""
    return ollama_line(tool_calls=[{"function": {"name": name, "arguments": arguments}}])


OLLAMA: Final = {
    "text": (
        [ollama_line(thinking="hm"), ollama_line("Hel"), ollama_line("lo"), ollama_line(done=True)],
        {"reasoning": "hm", "text": "Hello", "ended": "STOP stop", "tokens": [5, 3]},
    ),
    "marks": (
        [ollama_line(MARKS), ollama_line(done=True)],
        {"text": MARKS, "ended": "STOP stop", "tokens": [5, 3]},
    ),
    "calls-of-a-line-each": (
        [ollama_call("weather", {"city": "Oslo"}), ollama_call("now", {}), ollama_line(done=True)],
        {
            "calls": [["weather", '{"city": "Oslo"}'], ["now", "{}"]],
            "ended": "TOOL_CALLS stop",
            "tokens": [5, 3],
        },
    ),
    "cut": ([ollama_line("Hel")], {"text": "Hel", "error": "UPSTREAM_STREAM_TRUNCATED"}),
    "error": ([ollama_line("Hel"), {"error": UPSTREAM_SECRET}], {"text": "Hel", "error": "UPSTREAM_ERROR"}),
    "malformed": ([ollama_line("Hel"), {"x": 1}], {"text": "Hel", "error": "UPSTREAM_MALFORMED_RESPONSE"}),
}


@pytest.mark.parametrize(("lines", "expected"), OLLAMA.values(), ids=OLLAMA.keys())
async def test_ollama_sends_lines_and_whole_calls(upstream: FakeUpstream, lines: list[Json], expected: Json) -> None:
    """Ollama answers in lines of JSON and with whole calls; each of them is a call of its own."""
    body = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)
    upstream.body(body, content_type="application/x-ndjson")
    entry = model_entry(f"http://127.0.0.1:{upstream.port}", litellm_model="ollama_chat/fake")

    async with serving(config_for(entry)) as running:
        answer = await receive_answer(running.client())

    summary = answer.summary()
    if calls := summary.pop("calls", []):
        assert len({call[0] for call in calls}) == len(calls)
        summary["calls"] = [call[1:3] for call in calls]
    assert summary == expected
