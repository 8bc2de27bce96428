"""`AnthropicObserver`: observes answers of Anthropic's Messages API that litellm reads."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer, decode_event
from reasoning_grpc.litellm_model.lenient import Json, add_known, read_integer, read_list, read_object
from reasoning_grpc.litellm_model.protocols.observer import PLACEHOLDER_TOKENS, Observer, encode_line

_PING: Final[Json] = {"type": "ping"}
"""An event without content, which takes the place of an event that litellm must not see."""


@dataclass(slots=True)
class AnthropicObserver(Observer):
    """Observes answers to POST /v1/messages: events with a type, or a message, which counts as a few of them.

    litellm takes the arguments of a call only from deltas, never from the start of the block. And it shows
    the provider's own tools as if the caller had to run them.
    """

    knows_protocol = True
    _inputs: dict[object, Json] = field(default_factory=dict)
    """The arguments at the start of a call, by the index of its block, until a delta brings arguments."""
    _hidden_blocks: set[object] = field(default_factory=set)
    """Indices of blocks that are calls of the provider's own tools."""

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`."""
        message = decode_event(body)
        if not isinstance(message, dict) or message.get("type") != "message":
            self.observe_event(body)  # it may be an error
            raise MalformedAnswer("the answer is not a message")
        self.has_events = True
        return [encode_line(self._observe(event)) for event in _split_message(message)]

    def _observe(self, answer: Json) -> Json:
        match answer.get("type"):
            case "error":
                raise ErrorInAnswer({})
            case "message_start":
                message = answer["message"] = read_object(answer.get("message"))
                self._record_usage(read_object(message.pop("usage", None)), finished=False)
            case "content_block_start":
                return self._start_block(answer)
            case "content_block_delta":
                return self._continue_block(answer)
            case "content_block_stop":
                return self._stop_block(answer)
            case "message_delta":
                self._record_finish(read_object(answer.get("delta")).get("stop_reason"))
                self._record_usage(read_object(answer.pop("usage", None)), finished=True)
                answer["usage"] = {"input_tokens": PLACEHOLDER_TOKENS, "output_tokens": PLACEHOLDER_TOKENS}
                answer["delta"] = {"stop_reason": "end_turn"}  # litellm warns of words that it does not know
            case str():
                pass
            case _:
                raise MalformedAnswer("an event has no type")
        return answer

    def _start_block(self, event: Json) -> Json:
        block = event["content_block"] = read_object(event.get("content_block"))
        match block.get("type"):
            case "text":
                block["text"] = self._record_text(block.get("text"))
            case "tool_use":
                self._inputs[event.get("index")] = read_object(block.get("input"))
                block["id"] = block.get("id") or ""
                if not block.get("name"):
                    raise MalformedAnswer("a tool call has no name")
            case "server_tool_use":
                self._hidden_blocks.add(event.get("index"))
                return _PING
            case str():
                pass
            case _:
                raise MalformedAnswer("a block has no type")
        return event

    def _continue_block(self, event: Json) -> Json:
        if event.get("index") in self._hidden_blocks:
            return _PING
        delta = event["delta"] = {"type": "", **read_object(event.get("delta"))}
        if "text" in delta:
            delta["text"] = self._record_text(delta["text"])
        if delta.get("partial_json"):
            self._inputs.pop(event.get("index"), None)
        return event

    def _stop_block(self, event: Json) -> Json:
        """Returns the event, or in its place the arguments of a call that brought them only at its start."""
        index = event.get("index")
        if index in self._hidden_blocks:
            return _PING
        if index not in self._inputs:
            return event
        arguments = {"type": "input_json_delta", "partial_json": json.dumps(self._inputs.pop(index))}
        return {"type": "content_block_delta", "index": index, "delta": arguments}

    def _record_usage(self, usage: Json, *, finished: bool) -> None:
        """Records the counts of one event.

        Anthropic reports the input at the start, and perhaps again at the end, without what was read from or
        written to its cache. It reports the output only at the end.
        """
        cached = read_integer(usage.get("cache_read_input_tokens"))
        written = read_integer(usage.get("cache_creation_input_tokens"))
        if isinstance(uncached := usage.get("input_tokens"), int):
            self.usage["prompt_tokens"] = add_known(uncached, cached, written)
            self.usage["prompt_tokens_details"] = {"cached_tokens": cached, "cache_write_tokens": written}
        if finished:
            self.usage["completion_tokens"] = usage.get("output_tokens")
            thinking = read_object(usage.get("output_tokens_details")).get("thinking_tokens")
            self.usage["completion_tokens_details"] = {"reasoning_tokens": thinking}


def _split_message(message: Json) -> Iterator[Json]:
    """Yields the events in which Anthropic would have streamed this message."""
    yield {"type": "message_start", "message": message | {"content": []}}
    for index, block in enumerate(map(read_object, read_list(message.get("content")))):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        if block.get("type") == "thinking":
            for name in ("thinking", "signature"):
                delta = {"type": f"{name}_delta", name: block.get(name) or ""}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message.get("stop_reason")}
    yield {"type": "message_delta", "delta": delta, "usage": message.get("usage")}
