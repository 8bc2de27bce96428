"""What litellm reads in answers of the Responses API, beside what callers of ours get.

litellm reads them in two ways: as they are (`aresponses`), and as answers of Chat Completions (`acompletion` with the
prefix `openai/responses/`), which loses more.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model import library
from tests.support.model_families import read_family
from tests.support.received import ReceivedAnswer, receive_answer
from tests.support.responses_events import Json, Writing, list_texts, write_stream
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import FakeToolCall, FakeUpstream
from tests.support.upstream.responses import call_item, message_item, reasoning_item, refusal_part, text_part

pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
"""litellm's own types do not fit what it puts into them."""

USAGE: Final = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 25},
    "total_tokens": 50,
}
OPEN_THOUGHT: Final[Json] = {"id": "rs_0", "type": "reasoning", "summary": [], "encrypted_content": None} | {
    "content": [{"type": "reasoning_text", "text": "Let me see."}]
}
CALLS: Final = [call_item(1, "c1", "f", '{"a": 1}'), call_item(2, "c2", "g", "{}")]
TEXT: Final = message_item(1, text_part("Hello"))
ITEMS: Final[dict[str, list[Json]]] = {
    "text": [message_item(0, text_part("Hello world"))],
    "two-texts": [message_item(0, text_part("Hel"), text_part("lo"))],
    "a-summary": [reasoning_item(0, "One.", encrypted="e"), TEXT],
    "a-summary-of-two-parts": [reasoning_item(0, "One.", "Two.", encrypted="e"), TEXT],
    "no-summary": [reasoning_item(0, encrypted="e"), TEXT],
    "reasoning-of-an-open-model": [OPEN_THOUGHT, TEXT],
    "calls": [reasoning_item(0, encrypted="e"), *CALLS],
    "text-and-calls": [message_item(0, text_part("Looking."), phase="commentary"), *CALLS],
    "a-refusal": [message_item(0, refusal_part("I cannot."))],
}
STREAMS: Final = {name: write_stream(items, usage=USAGE) for name, items in ITEMS.items()}
WITHOUT_DELTAS: Final = {
    f"{name}-without-deltas": write_stream(ITEMS[name], Writing(has_deltas=False), usage=USAGE)
    for name in ("text", "calls")
}
BRIDGE_LOSES: Final[dict[str, set[str]]] = {
    "a-summary-of-two-parts": {"reasoning"},  # no break between the parts
    "reasoning-of-an-open-model": {"reasoning"},
    "a-refusal": {"refusal"},
    "text-without-deltas": {"text"},
    "calls-without-deltas": {"calls"},
}
"""What callers of litellm's bridge do not get."""


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server whose model has the Responses API."""
    async with serving(config_for(provider_entry(upstream, "responses"), max_retries=0)) as running:
        yield running


def build_options(upstream: FakeUpstream) -> dict[str, Any]:
    """Returns the arguments of a streamed call by litellm."""
    return {"api_base": upstream.api_base, "api_key": "k", "stream": True, "max_retries": 0, "num_retries": 0}


async def read_by_bridge(upstream: FakeUpstream) -> ReceivedAnswer:
    """Returns what litellm's bridge reads."""
    stream = await library.import_litellm().acompletion(
        model="openai/responses/gpt-5.6", messages=[{"role": "user", "content": "hi"}], **build_options(upstream)
    )
    answer = ReceivedAnswer()
    async for chunk in stream:
        body = chunk.model_dump()
        for choice in body["choices"]:
            content = choice["delta"]
            answer.text += content.get("content") or ""
            answer.reasoning += content.get("reasoning_content") or ""
            answer.refusal += content.get("refusal") or ""
            for call in content.get("tool_calls") or []:
                if call["index"] == len(answer.calls):
                    answer.calls.append([call["id"], call["function"]["name"], "", ""])
                answer.calls[call["index"]][2] += call["function"]["arguments"] or ""
            answer.finish = (choice.get("finish_reason") or "").upper() or answer.finish
    return answer


@pytest.mark.parametrize(("name", "events"), (STREAMS | WITHOUT_DELTAS).items(), ids=(STREAMS | WITHOUT_DELTAS).keys())
async def test_the_bridge_reads_no_more(
    upstream: FakeUpstream, server: RunningServer, name: str, events: list[Json]
) -> None:
    """Callers get all that litellm's bridge reads, and what it loses besides."""
    upstream.lines(*events)
    ours = await receive_answer(server.client())
    upstream.lines(*events)
    bridged = await read_by_bridge(upstream)

    fields = ("text", "refusal", "reasoning", "calls", "finish")
    differing = {field for field in fields if getattr(ours, field) != getattr(bridged, field)}
    assert differing == BRIDGE_LOSES.get(name, set())


@pytest.mark.parametrize("recording", ["1", "2", "3", "structured", "refusal"])
async def test_litellm_reads_the_same_items(upstream: FakeUpstream, server: RunningServer, recording: str) -> None:
    """The items and the counts that litellm reads in a recorded answer are what callers get."""
    family = read_family("openai-responses")
    family.read(recording).play(upstream)
    ours = await receive_answer(server.client())
    family.read(recording).play(upstream)
    stream = await library.import_litellm().aresponses(model="openai/gpt-5.6", input="hi", **build_options(upstream))
    last = [event async for event in stream][-1]

    output = json.loads(
        json.dumps([item if isinstance(item, dict) else item.model_dump() for item in last.response.output])
    )
    texts: dict[str, str] = {}
    for kind, text in list_texts(output):
        texts[kind] = texts.get(kind, "") + text
    calls = [[item["call_id"], item["name"], item["arguments"], ""] for item in output if "call_id" in item]
    assert ours.text == texts.get("text", "")
    assert ours.refusal == texts.get("refusal", "")
    assert ours.reasoning == texts.get("reasoning", "")
    assert ours.calls == calls
    signed = [item["encrypted_content"] for item in output if item["type"] == "reasoning"]
    assert [json.loads(each)["encrypted_content"] for each in ours.signatures if "encrypted" in each] == signed
    assert ours.word == last.response.status
    counts = [last.response.usage.input_tokens, last.response.usage.output_tokens]
    assert ours.summary()["tokens"] == counts


@pytest.mark.parametrize("provider", ["anthropic", "deepseek"])
async def test_litellms_own_events_are_read(upstream: FakeUpstream, server: RunningServer, provider: str) -> None:
    """Events that litellm writes for a provider without the Responses API, as its proxy does, say the same to us."""
    calls = [FakeToolCall("c1", "f", ('{"a"', ": 1}")), FakeToolCall("c2", "g", "{}")]
    upstream.reply("Hel", "lo", reasoning=("h", "m"), reasoning_signature="c2ln", tool_calls=calls)
    options = build_options(upstream) | {"api_base": upstream.api_base_for(PROVIDERS[provider])}
    stream = await library.import_litellm().aresponses(model=f"{provider}/fake", input="hi", **options)
    events = [json.loads(event.model_dump_json(exclude_none=True)) async for event in stream]
    upstream.lines(*events)

    answer = await receive_answer(server.client())

    assert (answer.reasoning, answer.text, answer.signatures) == ("hm", "Hello", [])
    assert answer.calls == [["c1", "f", '{"a": 1}', ""], ["c2", "g", "{}", ""]]
    assert (answer.finish, answer.word, answer.summary()["tokens"]) == ("TOOL_CALLS", "completed", [11, 7])


PROVIDERS: Final = {"anthropic": "anthropic", "deepseek": "openai"}
"""The dialects of the providers without the Responses API."""
