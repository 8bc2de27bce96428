"""`OutputItem`: one item of an answer of OpenAI's Responses API: reasoning, a message, or a function call."""

import uuid
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.litellm_model.answers.content import read_logprobs
from reasoning_grpc.litellm_model.item_signatures import sign_message, sign_reasoning
from reasoning_grpc.litellm_model.lenient import Json, read_objects, read_text

MESSAGE: Final = "message"
REASONING: Final = "reasoning"
FUNCTION_CALL: Final = "function_call"
_BREAK: Final = "\n\n"
"""What stands between two parts of reasoning."""


@dataclass(slots=True)
class OutputItem:
    """The deltas of one item so far. What came as a delta does not come again with the end of its item."""

    kind: str
    call_id: str = ""
    """The id of a function call, which no other call of the answer has."""
    call_index: int = 0
    name: str = ""
    """The name of a function call; its deltas are held back until it is known."""
    is_done: bool = False
    _lengths: dict[tuple[str, int], int] = field(default_factory=dict)
    """The characters of each part that were returned."""
    _held_arguments: str = ""

    def read_text(self, part: int, text: str, logprobs: object = None) -> list[Delta]:
        """Returns the delta of a text."""
        self._add(("text", part), text)
        read = read_logprobs({"content": logprobs}) if logprobs else ()
        return [ContentDelta(text, read)] if text or read else []

    def read_refusal(self, part: int, text: str) -> list[Delta]:
        """Returns the delta of a refusal."""
        self._add(("refusal", part), text)
        return [ContentDelta(text, refusal=True)] if text else []

    def read_reasoning(self, kind: str, part: int, text: str) -> list[Delta]:
        """Returns the delta of reasoning; the kind is "summary", or "text" where the server returns the reasoning."""
        if not text:
            return []
        is_new = bool(self._lengths) and (kind, part) not in self._lengths
        self._add((kind, part), text)
        return [ReasoningDelta(_BREAK + text if is_new else text)]

    def read_arguments(self, text: str) -> list[Delta]:
        """Returns the delta of a call's arguments; empty while the name of the call is not known."""
        self._add(("arguments", 0), text)
        if not self.name:
            self._held_arguments += text
            return []
        return [ToolCallDelta(self.call_id, self.call_index, arguments=text)] if text else []

    def read_name(self, name: str) -> list[Delta]:
        """Returns the first delta of a call, once its name is known."""
        if self.name or not name:
            return []
        self.name = name
        held, self._held_arguments = self._held_arguments, ""
        return [ToolCallDelta(self.call_id, self.call_index, name, held)]

    def read_rest(self, item: Json) -> list[Delta]:
        """Returns what the whole item has beyond its deltas, with its signature at the end."""
        self.is_done = True
        match self.kind:
            case "message":
                return self._read_message(item)
            case "reasoning":
                return self._read_reasoning_item(item)
            case "function_call":
                arguments = read_text(item.get("arguments"))
                deltas = self.read_name(read_text(item.get("name")))
                return deltas + self.read_arguments(arguments[self._length(("arguments", 0)) :])
            case _:
                return []

    def _read_message(self, item: Json) -> list[Delta]:
        deltas: list[Delta] = []
        for index, part in enumerate(read_objects(item.get("content"))):
            text, refusal = read_text(part.get("text")), read_text(part.get("refusal"))
            deltas += self.read_text(index, text[self._length(("text", index)) :])
            deltas += self.read_refusal(index, refusal[self._length(("refusal", index)) :])
        signature = sign_message(item)
        return [*deltas, ContentDelta("", signature=signature)] if signature and self._lengths else deltas

    def _read_reasoning_item(self, item: Json) -> list[Delta]:
        deltas: list[Delta] = []
        for kind, member in (("summary", "summary"), ("text", "content")):
            for index, part in enumerate(read_objects(item.get(member))):
                text = read_text(part.get("text"))
                deltas += self.read_reasoning(kind, index, text[self._length((kind, index)) :])
        signature = sign_reasoning(item)
        return [*deltas, ReasoningDelta(signature=signature)] if signature else deltas

    def _add(self, part: tuple[str, int], text: str) -> None:
        if text:
            self._lengths[part] = self._length(part) + len(text)

    def _length(self, part: tuple[str, int]) -> int:
        return self._lengths.get(part, 0)


def choose_call_id(item: Json, taken: set[str]) -> str:
    """Returns the id of a function call: the provider's own, or a new one where that is missing or taken."""
    call_id = read_text(item.get("call_id"))
    return call_id if call_id and call_id not in taken else f"call_{uuid.uuid4().hex}"
