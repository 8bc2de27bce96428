"""Builds the blocks of an answer in Anthropic's form, and streams them from the fake upstream."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.upstream import FakeUpstream

Json = dict[str, Any]


def thinking_block(text: str, signature: str) -> Json:
    """Creates a block of reasoning in Anthropic's form. The same block is sent back."""
    return {"type": "thinking", "thinking": text, "signature": signature}


def tool_use(call_id: str, value: int) -> Json:
    """Creates a block with a call of the tool in Anthropic's form."""
    return {"type": "tool_use", "id": call_id, "name": "f", "input": {"a": value}}


def text_block(text: str) -> Json:
    """Creates a block of text in Anthropic's form."""
    return {"type": "text", "text": text}


def stream_blocks(*content: Json) -> Callable[[FakeUpstream], object]:
    """Returns a function that scripts a stream of these blocks in Anthropic's form, a delta for each character."""

    def script_stream(upstream: FakeUpstream) -> None:
        start = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": []}
        has_calls = any(block["type"] == "tool_use" for block in content)
        upstream.lines(
            {"type": "message_start", "message": start | {"stop_reason": None, "usage": {"input_tokens": 11}}},
            *(event for index, block in enumerate(content) for event in _list_events(index, block)),
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use" if has_calls else "end_turn"},
                "usage": {"output_tokens": 7},
            },
            {"type": "message_stop"},
        )

    return script_stream


def _list_events(index: int, block: Json) -> Iterator[Json]:
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    start = {name: empty.get(name, value) for name, value in block.items()}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in _list_deltas(block):
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _list_deltas(block: Json) -> Iterator[Json]:
    match block["type"]:
        case "thinking":
            for character in block["thinking"]:
                yield {"type": "thinking_delta", "thinking": character}
            yield {"type": "signature_delta", "signature": block["signature"]}
        case "text":
            for character in block["text"]:
                yield {"type": "text_delta", "text": character}
        case "tool_use":
            for character in json.dumps(block["input"]):
                yield {"type": "input_json_delta", "partial_json": character}
