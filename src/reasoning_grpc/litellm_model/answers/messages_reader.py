"""`MessagesReader`: reads the JSON events of one answer of Anthropic's Messages API.

Deltas of blocks are decoded to typed objects. Every other event, and a delta of any other form, is read member by
member.
"""

import uuid
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.litellm_model.answers.block_deltas import (
    BlockDelta,
    InputDelta,
    SignatureDelta,
    TextDelta,
    ThinkingDelta,
    decode_block_delta,
)
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import check_finish_word, convert_finish_word
from reasoning_grpc.litellm_model.answers.json_events import decode_frequent
from reasoning_grpc.litellm_model.answers.message_blocks import read_blocks, write_input
from reasoning_grpc.litellm_model.answers.message_counts import MessageCounts
from reasoning_grpc.litellm_model.answers.message_order import MessageOrder
from reasoning_grpc.litellm_model.answers.output_items import read_whole_text
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import decode_part, read_choice
from reasoning_grpc.litellm_model.lenient import Json, read_object, read_text

_MEMBERS: Final = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}
"""The member that holds a delta, by the type of the delta."""


@dataclass(slots=True)
class _Call:
    """A tool call whose block is open."""

    id: str
    index: int
    input: str
    """The arguments at the start of the block, until a delta brings arguments."""


@dataclass(slots=True)
class MessagesReader(AnswerRecord):
    """Reads the JSON events of one answer, in order.

    A call of one of the provider's own tools, whose block is `server_tool_use`, is not for the caller to run, and left
    out.
    """

    answers_by_tool: bool = False
    """Whether the model writes its answer as the arguments of a tool call, which are then its text."""
    _counts: MessageCounts = field(default_factory=MessageCounts)
    _order: MessageOrder = field(default_factory=MessageOrder)
    _early_finish: Json = field(default_factory=dict)
    """The end that the start of the message has; it counts where no other comes."""
    _open_calls: dict[object, _Call] = field(default_factory=dict)
    """The calls whose blocks are open, by the indices of their blocks."""
    _call_ids: set[str] = field(default_factory=set)
    _hidden_blocks: set[object] = field(default_factory=set)
    """Indices of blocks that are calls of the provider's own tools."""
    _has_ended: bool = False

    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""
        (known,) = decode_frequent(decode_block_delta, [event])
        return self._read_event(event, known)

    def read_batch(self, events: list[bytes]) -> tuple[list[Delta], Exception | None]:
        """See `AnswerRecord.read_batch`. Most events of a burst bring the next part of one text."""
        deltas: list[Delta] = []
        texts: list[str] = []
        index: int | None = None
        failure: Exception | None = None
        try:
            for event, known in zip(events, decode_frequent(decode_block_delta, events), strict=True):
                if self._has_ended:
                    break
                if known is not None and type(known.delta) is TextDelta and known.index == index:
                    texts.append(known.delta.text)
                    continue
                deltas += self._record_text(texts)
                index = None
                deltas += self._read_event(event, known)
                if known is not None and type(known.delta) is TextDelta and known.index not in self._hidden_blocks:
                    index = known.index  # it is open, and goes on until an event of another kind comes
        except (MalformedAnswer, ErrorInAnswer) as exc:
            failure = exc
        return deltas + self._record_text(texts), failure

    def read_whole(self, body: bytes) -> list[Delta]:
        """See `AnswerRecord.read_whole`."""
        message = decode_part(body)
        read_choice(message)  # it may be an error
        if message.get("type") != "message":
            raise MalformedAnswer("the answer is not a message")
        return self._record_deltas(self._read_members(message))

    @property
    def is_ended(self) -> bool:
        """Whether the message has ended; this protocol's stream has an event of its own for that."""
        return self._has_ended

    def _record_deltas(self, deltas: list[Delta]) -> list[Delta]:
        self._count_output(deltas)
        if deltas or self.finish_reason is not None:
            self.has_answer = True
        return deltas

    def _record_text(self, texts: list[str]) -> list[Delta]:
        """Returns the delta of these texts, and empties them."""
        text = "".join(texts)
        texts.clear()
        return self._record_deltas([ContentDelta(text)]) if text else []

    def _read_event(self, event: bytes, known: BlockDelta | None) -> list[Delta]:
        """Returns the deltas of one event; `known` is its delta, where it has the form of one."""
        if known is not None:
            return self._record_deltas(self._read_known_delta(known))
        part = decode_part(event)
        read_choice(part)  # it may be an error
        return self._record_deltas(self._read_members(part))

    def _read_known_delta(self, event: BlockDelta) -> list[Delta]:
        delta, index = event.delta, event.index
        self._order.continue_block(index, may_be_earlier=index in self._open_calls)
        if index in self._hidden_blocks:
            return []
        match delta:
            case TextDelta():
                return [ContentDelta(delta.text)] if delta.text else []
            case InputDelta():
                return self._read_arguments(index, delta.partial_json)
            case ThinkingDelta():
                return [ReasoningDelta(delta.thinking)] if delta.thinking else []
            case SignatureDelta():
                return [ReasoningDelta(signature=delta.signature)] if delta.signature else []

    def _read_members(self, event: Json) -> list[Delta]:
        if not isinstance(event.get("index"), int | None):
            raise MalformedAnswer("the index of a block is not a number")
        match event.get("type"):
            case "message":
                return self._start_message(event) + self._stop_message()
            case "message_start":
                return self._start_message(read_object(event.get("message")))
            case "content_block_start":
                return self._start_block(event.get("index"), read_object(event.get("content_block")))
            case "content_block_delta":
                return self._continue_block(event.get("index"), read_object(event.get("delta")))
            case "content_block_stop":
                return self._stop_block(event.get("index"))
            case "message_delta":
                return self._update_message(event)
            case "message_stop":
                return self._stop_message()
            case str():
                return []  # a kind of event that says nothing about text, reasoning or calls
            case _:
                raise MalformedAnswer("an event has no type")

    def _start_message(self, message: Json) -> list[Delta]:
        """Reads the start of the message, and what some servers put into it: content and the end."""
        if not self._order.start_message(message.get("id")):
            return []
        usage, stop_reason = read_object(message.get("usage")), message.get("stop_reason")
        blocks = read_blocks(message.get("content"))
        self._record_usage(self._counts.read(usage, is_end=False))
        deltas: list[Delta] = []
        for index, block in enumerate(blocks):
            deltas += self._start_block(index, block) + self._stop_block(index)
        if stop_reason:
            self._early_finish = {"delta": {"stop_reason": stop_reason}, "usage": usage}
            deltas += self._update_message(self._early_finish) if blocks else []
        return deltas

    def _update_message(self, event: Json) -> list[Delta]:
        word = read_object(event.get("delta")).get("stop_reason")
        self._order.update_message(is_finished=bool(word))
        self._record_usage(self._counts.read(read_object(event.get("usage")), is_end=True))
        deltas = self._finish_calls() if word else []
        self._record_finish(word)
        return deltas

    def _stop_message(self) -> list[Delta]:
        """Ends the message; before that it finishes, if the finish came only with the start."""
        is_finished = self._order.stop_message()
        self._has_ended = True
        return self._update_message(self._early_finish) if self._early_finish and not is_finished else []

    def _start_block(self, index: object, block: Json) -> list[Delta]:
        """Returns what the start of a block has of its content."""
        self._order.start_block(index)
        match block.get("type"):
            case "text":
                return self._read_delta(index, {"text": block.get("text")})
            case "thinking":
                return self._read_delta(index, {name: block.get(name) for name in ("thinking", "signature")})
            case "redacted_thinking":
                data = read_text(block.get("data"))
                return [ReasoningDelta(redacted=data.encode())] if data else []
            case "tool_use":
                return self._start_call(index, block)
            case "server_tool_use":
                self._hidden_blocks.add(index)
                return []
            case str():
                return []
            case _:
                raise MalformedAnswer("a block has no type")

    def _start_call(self, index: object, block: Json) -> list[Delta]:
        name, call_id = read_text(block.get("name")), read_text(block.get("id"))
        if not name:
            raise MalformedAnswer("a tool call has no name")
        if not call_id or call_id in self._call_ids:
            call_id = f"call_{uuid.uuid4().hex}"
        call = self._open_calls[index] = _Call(call_id, len(self._call_ids), write_input(block.get("input")))
        self._call_ids.add(call_id)
        return [] if self.answers_by_tool else [ToolCallDelta(call.id, call.index, name)]

    def _continue_block(self, index: object, content: Json) -> list[Delta]:
        if content:
            self._order.continue_block(index, may_be_earlier=index in self._open_calls)
        return [] if index in self._hidden_blocks else self._read_delta(index, content)

    def _read_delta(self, index: object, content: Json) -> list[Delta]:
        """Reads a delta by the member that its type names, or by whichever it has where that is missing."""
        member = _MEMBERS.get(read_text(content.get("type")), "")
        if isinstance(content.get(member), str):
            content = {member: content[member]}
        if "text" in content:
            text = read_whole_text(content["text"])
            return [ContentDelta(text)] if text else []
        if "partial_json" in content:
            return self._read_arguments(index, read_whole_text(content["partial_json"]))
        thinking, signature = read_text(content.get("thinking")), read_text(content.get("signature"))
        return [ReasoningDelta(thinking, signature=signature)] if thinking or signature else []

    def _read_arguments(self, index: object, arguments: str) -> list[Delta]:
        """Returns a part of a call's arguments; blocks of other types have input that is not for the caller."""
        call = self._open_calls.get(index)
        if call is None or not arguments:
            return []
        call.input = ""
        if self.answers_by_tool:
            return [ContentDelta(arguments)]
        return [ToolCallDelta(call.id, call.index, arguments=arguments)]

    def _stop_block(self, index: object) -> list[Delta]:
        """Ends a block; a call whose arguments came only at its start gets them now."""
        self._order.stop_block(index)
        self._hidden_blocks.discard(index)
        call = self._open_calls.get(index)
        deltas = [] if call is None else self._read_arguments(index, call.input)
        self._open_calls.pop(index, None)
        return deltas

    def _finish_calls(self) -> list[Delta]:
        """Ends the calls whose blocks have no end; the last one may not have got its arguments."""
        deltas: list[Delta] = []
        for index, call in self._open_calls.items():
            if not self._order.is_last(index):
                deltas += self._read_arguments(index, call.input)
            elif call.input not in {"", "{}"}:
                raise MalformedAnswer("the message finished within a tool call")
        return deltas

    def _record_finish(self, word: object) -> None:
        if not isinstance(word, str) or not word:
            return
        check_finish_word(word)
        self.provider_finish_reason, self.finish_reason = word, convert_finish_word(word)
        has_calls = bool(self._call_ids) and not self.answers_by_tool
        if self.finish_reason in {FinishReason.STOP, FinishReason.TOOL_CALLS}:
            self.finish_reason = FinishReason.TOOL_CALLS if has_calls else FinishReason.STOP
