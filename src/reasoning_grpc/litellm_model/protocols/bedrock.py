"""`ConverseObserver`: observes answers of Amazon Bedrock's Converse API that litellm reads."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.litellm_model.answers import MalformedAnswer, decode_part, read_choice
from reasoning_grpc.litellm_model.lenient import (
    Json,
    add_known,
    read_integer,
    read_object,
    read_objects,
    read_text,
    read_token_count,
)
from reasoning_grpc.litellm_model.protocols.bedrock_order import ConverseOrder
from reasoning_grpc.litellm_model.protocols.observer import PLACEHOLDER_TOKENS, Observer

EVENTS: Final = (
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
)
"""The events of an answer, in their order."""
_END: Final[list[Json]] = [
    {"messageStop": {"stopReason": "end_turn"}},  # litellm renames most words
    {
        "metadata": {
            "usage": {
                "inputTokens": PLACEHOLDER_TOKENS,
                "outputTokens": PLACEHOLDER_TOKENS,
                "totalTokens": 2 * PLACEHOLDER_TOKENS,
            },
            "metrics": {"latencyMs": 0},
        }
    },
]
_INDEX: Final[Json] = {"contentBlockIndex": 0}
"""The index of a block, without which litellm does not know an event, and which it does not use."""
_TIMES: Final = {"5m": "ephemeral_5m_input_tokens", "1h": "ephemeral_1h_input_tokens"}


@dataclass(slots=True)
class ConverseObserver(Observer):
    """Observes answers to POST /model/.../converse-stream: events, each of which is a member with the event's name.

    litellm joins the arguments of all calls whose blocks overlap, takes only the first kind of content in a delta,
    and shows the provider's own tools as if the caller had to run them.
    """

    knows_protocol = True
    is_binary = True
    _order: ConverseOrder = field(default_factory=ConverseOrder)
    _lacks_arguments: bool = False
    """Whether the open block is a call whose arguments have not come yet."""
    _is_hidden: bool = False
    """Whether the open block belongs to a tool of the provider's own."""
    _redacted: list[str] = field(default_factory=list)
    """The encrypted reasoning of the open block so far, each part in Base64."""

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`."""
        answer = decode_part(body)
        read_choice(answer)  # it may be an error
        message = read_object(answer.get("output")).get("message")
        if not isinstance(message, dict):
            raise MalformedAnswer("the answer has no message")
        events = _split_answer(answer, read_objects(message.get("content")))
        return [line for event in events for line in self.observe_event(json.dumps(event).encode())]

    def _observe(self, answer: Json) -> list[Json]:
        observed = (self._observe_event(name, read_object(payload)) for name, payload in answer.items())
        return [event for events in observed for event in events]

    def _observe_event(self, name: str, payload: Json) -> list[Json]:
        match name:
            case "messageStart":
                self._order.start_message()
                return [{"messageStart": {"role": "assistant"}}]
            case "contentBlockStart":
                return self._start_block(payload)
            case "contentBlockDelta":
                return self._continue_block(payload)
            case "contentBlockStop":
                return self._stop_block(payload)
            case "messageStop":
                return self._stop_message(payload)
            case "metadata":
                self._order.end()
                self._record_usage(read_object(payload.get("usage")))
                self.is_ended = True
        return []

    def _start_block(self, payload: Json) -> list[Json]:
        """Returns the start of a block, and deltas for content in it, which litellm takes only from deltas."""
        self._order.start_block(_find_index(payload))
        events = self._complete_block()
        start = read_object(payload.get("start"))
        call = start.pop("toolUse", None)
        if isinstance(call, dict):
            if call.get("type") == "server_tool_use":
                self._is_hidden = True
                return events
            events.append(_build_call_start(call))
            self._lacks_arguments = True
            start["toolUse"] = {"input": call.get("input")}
        self._is_hidden = start.get("toolResult") is not None
        return events + self._convert_delta(start)

    def _continue_block(self, payload: Json) -> list[Json]:
        delta = read_object(payload.get("delta"))
        if not delta:
            return []
        begins = self._order.continue_block(_find_index(payload), may_begin=delta.get("toolUse") is None)
        events = self._complete_block() if begins else []
        return events + self._convert_delta(delta)

    def _stop_block(self, payload: Json) -> list[Json]:
        self._order.stop_block(_find_index(payload))
        is_hidden = self._is_hidden
        events = self._complete_block()
        return events if is_hidden else [*events, {"contentBlockStop": _INDEX}]

    def _stop_message(self, payload: Json) -> list[Json]:
        """Returns the stop, and counts for litellm, which may come late or never."""
        self._order.stop_message()
        events = self._complete_block()
        self._record_finish(payload.get("stopReason"))
        details = read_object(read_object(payload.get("additionalModelResponseFields")).get("usage"))
        thinking = read_object(details.get("output_tokens_details")).get("thinking_tokens")
        if thinking is not None:
            self.usage["completion_tokens_details"] = {"reasoning_tokens": thinking}
        return events + _END

    def _complete_block(self) -> list[Json]:
        """Returns what is missing of the open block, and begins with the next one.

        That is the arguments of a call that came without any, and encrypted reasoning, which only is valid whole.
        """
        lacks_arguments, self._lacks_arguments, self._is_hidden = self._lacks_arguments, False, False
        redacted, self._redacted = self._redacted, []
        events = [_build_delta({"toolUse": {"input": "{}"}})] if lacks_arguments else []
        if redacted:
            events.append(_build_delta({"reasoningContent": {"redactedContent": _join_encoded(redacted)}}))
        return events

    def _convert_delta(self, delta: Json) -> list[Json]:
        """Returns a delta for each kind of content. Raises MalformedAnswer where text would be lost."""
        if self._is_hidden:
            return []
        reasoning = read_object(delta.get("reasoningContent"))
        contents: list[Json] = [*_split_reasoning(reasoning)]
        if redacted := read_text(reasoning.get("redactedContent")):
            self._redacted.append(redacted)
        if text := self._record_text(delta.get("text")):
            contents.append({"text": text})
        if arguments := _convert_arguments(read_object(delta.get("toolUse")).get("input")):
            self._lacks_arguments = False
            contents.append({"toolUse": {"input": arguments}})
        return [_build_delta(content) for content in contents]

    def _record_usage(self, usage: Json) -> None:
        """Records the counts. The input has what was read from or written to the cache only where the total says so."""
        read, written = _find_cache_count(usage, "Read"), _find_cache_count(usage, "Write")
        uncached, output, total = (
            read_token_count(usage.get(f"{name}Tokens")) for name in ("input", "output", "total")
        )
        includes_cache = uncached is None or (total is not None and total == add_known(uncached, output))
        self.usage |= {
            "prompt_tokens": uncached if includes_cache else add_known(uncached, read, written),
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
            "completion_tokens": output,
            "total_tokens": total,
        }
        details = [(read_text(entry.get("ttl")), entry) for entry in read_objects(usage.get("cacheDetails"))]
        if by_time := {_TIMES[time]: entry.get("inputTokens") for time, entry in details if time in _TIMES}:
            self.usage["cache_creation"] = by_time


def _split_answer(answer: Json, blocks: list[Json]) -> Iterator[Json]:
    """Yields the events in which Bedrock would have streamed an answer."""
    yield {"messageStart": {}}
    for index, block in enumerate(blocks):
        cited = read_objects(read_object(block.get("citationsContent")).get("content"))
        start = block | ({"text": "".join(read_text(part.get("text")) for part in cited)} if cited else {})
        yield {"contentBlockStart": {"start": start, "contentBlockIndex": index}}
        yield {"contentBlockStop": {"contentBlockIndex": index}}
    yield {"messageStop": answer}
    yield {"metadata": answer}


def _find_index(payload: Json) -> int | None:
    return read_integer(payload.get("contentBlockIndex"))


def _build_call_start(call: Json) -> Json:
    """Returns the start of a call with an id, without which litellm breaks. Raises MalformedAnswer without a name."""
    name = read_text(call.get("name"))
    if not name:
        raise MalformedAnswer("a tool call has no name")
    start = {"toolUse": {"toolUseId": read_text(call.get("toolUseId")), "name": name}}
    return {"contentBlockStart": {"start": start, **_INDEX}}


def _build_delta(content: Json) -> Json:
    return {"contentBlockDelta": {"delta": content, **_INDEX}}


def _convert_arguments(arguments: Any) -> str:
    """Returns the arguments of a call as JSON, whole or a part of it; empty where there are none."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else json.dumps(arguments)


def _join_encoded(parts: list[str]) -> str:
    """Joins parts in Base64, each of which is encoded for itself. Raises MalformedAnswer."""
    if len(parts) == 1:
        return parts[0]
    try:
        return base64.b64encode(b"".join(map(base64.b64decode, parts))).decode()
    except ValueError as exc:
        raise MalformedAnswer("encrypted reasoning is not in Base64") from exc


def _split_reasoning(reasoning: Json) -> Iterator[Json]:
    """Yields the parts of reasoning in words, each as the content of a delta of its own."""
    parts = read_object(reasoning.get("reasoningText")) | reasoning
    for name in ("text", "signature"):
        if part := read_text(parts.get(name)):
            yield {"reasoningContent": {name: part}}


def _find_cache_count(usage: Json, act: str) -> int | None:
    """Returns the tokens that were read from or written to the cache, by either of their names."""
    counts = (read_token_count(usage.get(f"cache{act}InputToken{end}")) for end in ("s", "Count"))
    return next((count for count in counts if count is not None), None)
