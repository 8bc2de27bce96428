"""`AnthropicObserver`: observes answers of Anthropic's Messages API that litellm reads, such as those of Bedrock."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.litellm_model.answers import (
    MalformedAnswer,
    MessageCounts,
    MessageOrder,
    decode_part,
    read_blocks,
    read_choice,
    write_input,
)
from reasoning_grpc.litellm_model.lenient import Json, read_object
from reasoning_grpc.litellm_model.protocols.observer import PLACEHOLDER_TOKENS, Observer, encode_line

_PING: Final[Json] = {"type": "ping"}
"""An event without content, which takes the place of an event that litellm must not see."""
_THINKING: Final = ("thinking", "signature")


@dataclass(slots=True)
class AnthropicObserver(Observer):
    """Observes answers to POST /v1/messages: events with a type, or a message, which counts as a few of them.

    litellm takes the arguments of a call only from deltas, never from the start of the block. And it shows
    the provider's own tools as if the caller had to run them.
    """

    knows_protocol = True
    _input: str = ""
    """The arguments at the start of the open call, until a delta brings arguments; empty where no call waits."""
    _counts: MessageCounts = field(default_factory=MessageCounts)
    _order: MessageOrder = field(default_factory=MessageOrder)
    _early_finish: Json = field(default_factory=dict)
    """The end that the start of the message has; it counts where no other comes."""
    _hidden_blocks: set[object] = field(default_factory=set)
    """Indices of blocks that are calls of the provider's own tools."""

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`."""
        message = decode_part(body)
        read_choice(message)  # it may be an error
        if message.get("type") != "message":
            raise MalformedAnswer("the answer is not a message")
        self.has_events = True
        return [encode_line(event) for event in self._observe(message)]

    def _observe(self, answer: Json) -> list[Json]:
        if not isinstance(answer.get("index"), int | None):
            raise MalformedAnswer("the index of a block is not a number")
        match answer.get("type"):
            case "message":
                return [*self._start_message({"type": "message_start", "message": answer}), *self._stop_message()]
            case "message_start":
                return self._start_message(answer)
            case "content_block_start":
                return self._start_block(answer)
            case "content_block_delta":
                return [self._continue_block(answer)]
            case "content_block_stop":
                return self._stop_block(answer)
            case "message_delta":
                return [self._update_message(answer)]
            case "message_stop":
                return self._stop_message()
            case str():
                return [answer]
            case _:
                raise MalformedAnswer("an event has no type")

    def _start_message(self, event: Json) -> list[Json]:
        """Returns the start of the message, and the events for what some servers put into it: content and the end."""
        message = event["message"] = read_object(event.get("message"))
        if not self._order.start_message(message.get("id")):
            return [_PING]
        usage, content = read_object(message.pop("usage", None)), read_blocks(message.pop("content", None))
        stop_reason = message.pop("stop_reason", None)
        self.usage |= self._counts.read(usage, is_end=False)
        events = [event]
        message["content"] = []
        for block in _split_content(content):
            events += self._observe(block)
        if stop_reason:
            self._early_finish = {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage}
            events += [self._update_message(self._early_finish)] if content else []
        return events

    def _update_message(self, event: Json) -> Json:
        word = read_object(event.get("delta")).get("stop_reason")
        self._order.update_message(is_finished=bool(word))
        if word and self._input not in {"", "{}"}:
            raise MalformedAnswer("the message finished within a tool call")
        self._record_finish(word)
        self.usage |= self._counts.read(read_object(event.pop("usage", None)), is_end=True)
        event["usage"] = {"input_tokens": PLACEHOLDER_TOKENS, "output_tokens": PLACEHOLDER_TOKENS}
        event["delta"] = {"stop_reason": "end_turn"}  # litellm warns of words that it does not know
        return event

    def _stop_message(self) -> list[Json]:
        """Returns the end of the message; before it the finish, if that came only with the start."""
        is_finished = self._order.stop_message()
        self.is_ended = True
        finish = [self._update_message(self._early_finish)] if self._early_finish and not is_finished else []
        return [*finish, {"type": "message_stop"}]

    def _start_block(self, event: Json) -> list[Json]:
        """Returns the start of a block, and deltas for thinking in it, which litellm takes only from deltas."""
        index = event.get("index")
        self._order.start_block(index)
        events = self._complete_call()
        block = event["content_block"] = read_object(event.get("content_block"))
        match block.get("type"):
            case "text":
                block["text"] = self._record_text(block.get("text"))
            case "thinking":
                deltas = [{"type": f"{name}_delta", name: block[name]} for name in _THINKING if block.get(name)]
                event["content_block"] = {"type": "thinking", "thinking": "", "signature": ""}
                events += [event, *(_build_delta(index, delta) for delta in deltas)]
                return events
            case "tool_use":
                self._input = write_input(block.get("input"))
                block["id"] = block.get("id") or ""
                if not block.get("name"):
                    raise MalformedAnswer("a tool call has no name")
            case "server_tool_use":
                self._hidden_blocks.add(index)
                return [*events, _PING]
            case str():
                pass
            case _:
                raise MalformedAnswer("a block has no type")
        return [*events, event]

    def _continue_block(self, event: Json) -> Json:
        content = read_object(event.get("delta"))
        if content:
            self._order.continue_block(event.get("index"))
        if event.get("index") in self._hidden_blocks:
            return _PING
        delta = event["delta"] = {"type": "", **content}
        if "text" in delta:
            delta["text"] = self._record_text(delta["text"])
        if delta.get("partial_json"):
            self._input = ""
        return event

    def _stop_block(self, event: Json) -> list[Json]:
        """Returns the event, or in its place the arguments of a call that brought them only at its start."""
        index = event.get("index")
        self._order.stop_block(index)
        if index in self._hidden_blocks:
            self._hidden_blocks.remove(index)
            return [_PING]
        return self._complete_call() or [event]

    def _complete_call(self) -> list[Json]:
        """Returns the arguments of the open call if it brought them only at its start; empty otherwise."""
        arguments, self._input = self._input, ""
        return [_build_delta(0, {"type": "input_json_delta", "partial_json": arguments})] if arguments else []


def _build_delta(index: object, delta: Json) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _split_content(content: list[Json]) -> Iterator[Json]:
    """Yields the events in which Anthropic would have streamed these blocks."""
    for index, block in enumerate(content):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        yield {"type": "content_block_stop", "index": index}
