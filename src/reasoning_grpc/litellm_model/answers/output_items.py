"""`OutputItem`: one item of an answer of OpenAI's Responses API: reasoning, a message, or a function call."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, TokenLogprob, ToolCallDelta
from reasoning_grpc.litellm_model.answers.content import read_logprobs
from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.answers.repeated_text import RepeatedText
from reasoning_grpc.litellm_model.item_signatures import PART_BREAK, sign_message, sign_reasoning
from reasoning_grpc.litellm_model.lenient import Json, read_text

MESSAGE: Final = "message"
REASONING: Final = "reasoning"
FUNCTION_CALL: Final = "function_call"


class Member(Enum):
    """The members of an item that hold what the model wrote."""

    TEXT = "text"
    REFUSAL = "refusal"
    SUMMARY = "summary"
    REASONING = "content"
    ARGUMENTS = "arguments"


Part = tuple[Member, int]
"""A part of an item: its member, and its index there."""
TextOfPart = tuple[Part, str, object]
"""A part, its whole text, and its log probabilities as the server writes them."""


@dataclass(slots=True)
class CallLabels:
    """Issues the ids and the indexes of the function calls of one answer."""

    _ids: list[str] = field(default_factory=list)

    def issue(self, *candidates: str) -> tuple[str, int]:
        """Returns the first id that no other call of the answer has, or a new one, and the index of the call."""
        call_id = next((each for each in candidates if each and each not in self._ids), f"call_{uuid.uuid4().hex}")
        self._ids.append(call_id)
        return call_id, len(self._ids) - 1

    @property
    def has_calls(self) -> bool:
        """Whether the answer has any call so far."""
        return bool(self._ids)


@dataclass(slots=True)
class OutputItem:
    """The parts of one item so far. What came as a delta does not come again with the end of its item."""

    kind: str
    place: int | None
    """Its index in the output; None where the server gives none."""
    id: str
    labels: CallLabels
    is_done: bool = False
    """Whether the item came as a whole, after which nothing of it should follow."""
    call_id: str = ""
    """The id of a function call in the words of the server."""
    _name: str = ""
    _label: tuple[str, int] | None = None
    """Id and index of a call, from its first delta on; it is held back until its name and its id are known."""
    _held_arguments: list[str] = field(default_factory=list)
    _texts: dict[Part, RepeatedText] = field(default_factory=dict)
    _announced: dict[Part, str] = field(default_factory=dict)
    """What the event that begins an item or a part already has; most servers send it again as deltas."""
    _lengths: list[tuple[Member, int, int]] = field(default_factory=list)
    """The parts of the reasoning in the order in which they came, each with its length."""

    @property
    def has_begun(self) -> bool:
        """Whether anything of the item has arrived, besides its labels."""
        return any(not text.is_empty for text in self._texts.values())

    @property
    def has_text(self) -> bool:
        """Whether the item has any text that is no refusal so far."""
        return any(member is Member.TEXT and not text.is_empty for (member, _), text in self._texts.items())

    @property
    def is_nameless(self) -> bool:
        """Whether it is a function call whose name has not arrived."""
        return self.kind == FUNCTION_CALL and not self._name

    def read_delta(self, part: Part, text: str, logprobs: object = None) -> list[Delta]:
        """Returns the deltas for the next text of a part."""
        self._texts.setdefault(part, RepeatedText()).add(text)
        match part[0]:
            case Member.TEXT:
                read: tuple[TokenLogprob, ...] = read_logprobs({"content": logprobs}) if logprobs else ()
                return [ContentDelta(text, read)] if text or read else []
            case Member.REFUSAL:
                return [ContentDelta(text, refusal=True)] if text else []
            case Member.ARGUMENTS:
                self._held_arguments.append(text)
                return self._release_call() if text else []
            case _:
                return [self._build_reasoning(part, text)] if text else []

    def read_whole(self, part: Part, whole: str, logprobs: object = None) -> list[Delta]:
        """Returns the deltas for what the whole text of a part has beyond its deltas. Raises MalformedAnswer."""
        known = self._texts.get(part)
        if known is None or known.is_empty:
            return self.read_delta(part, whole, logprobs if whole else None)
        return self.read_delta(part, known.find_rest(whole))

    def announce(self, part: Part, text: str) -> None:
        """Records what a part has when it begins; it is read at the end, if nothing else brings it."""
        if text:
            self._announced[part] = text

    def name_call(self, item: Json, *, is_last: bool = False) -> list[Delta]:
        """Returns the held deltas of a call, once its name and its id are known; `is_last` when no id can follow."""
        self._name = self._name or read_text(item.get("name"))
        self.call_id = self.call_id or read_text(item.get("call_id"))
        return self._release_call(is_last=is_last)

    def read_parts(self, item: Json) -> list[Delta]:
        """Returns the deltas for what the whole item has beyond its deltas, without its signature.

        Raises MalformedAnswer.
        """
        deltas: list[Delta] = []
        for part, text, logprobs in list_parts(self.kind, item):
            if not self._is_repeated_elsewhere(part, text):
                deltas += self.read_whole(part, text, logprobs)
        if self.kind == FUNCTION_CALL:
            deltas += self.name_call(item, is_last=True)
        self.is_done = True
        return deltas

    def read_announced(self) -> list[Delta]:
        """Returns the deltas for what came only with the beginning of the item. Raises MalformedAnswer."""
        deltas = [delta for part, text in self._announced.items() for delta in self.read_whole(part, text)]
        return deltas + (self.name_call({}, is_last=True) if self.kind == FUNCTION_CALL else [])

    def sign(self, item: Json, *, is_stored: bool) -> list[Delta]:
        """Returns the delta with what the item must have again when it is sent back."""
        if self.kind == REASONING:
            parts = [(member.value, length) for member, _, length in self._lengths]
            signature = sign_reasoning(item, parts, is_stored=is_stored)
            return [ReasoningDelta(signature=signature)] if signature else []
        signature = sign_message(item) if self.has_text else ""
        return [ContentDelta("", signature=signature)] if signature else []

    def _is_repeated_elsewhere(self, part: Part, text: str) -> bool:
        """Whether this text of reasoning has come as another part: a LiteLLM proxy repeats a summary as the content."""
        if self.kind != REASONING or part in self._texts:
            return False
        return any(other[0] is not part[0] and known.is_same(text) for other, known in self._texts.items())

    def _build_reasoning(self, part: Part, text: str) -> ReasoningDelta:
        if self._lengths and self._lengths[-1][:2] == part:
            self._lengths[-1] = (*part, self._lengths[-1][2] + len(text))
            return ReasoningDelta(text)
        self._lengths.append((*part, len(text)))
        return ReasoningDelta(PART_BREAK + text if len(self._lengths) > 1 else text)

    def _release_call(self, *, is_last: bool = False) -> list[Delta]:
        if not self._name or not (self.call_id or is_last or self._label):
            return []
        held = "".join(self._held_arguments)
        self._held_arguments.clear()
        if self._label is None:
            self._label = self.labels.issue(self.call_id, self.id)
            return [ToolCallDelta(*self._label, self._name, held)]
        return [ToolCallDelta(*self._label, arguments=held)] if held else []


def list_parts(kind: str, item: Json) -> Iterator[TextOfPart]:
    """Yields the parts of an item with their texts and their log probabilities. Raises MalformedAnswer."""
    match kind:
        case "message":
            for index, part in enumerate(_read_part_list(item.get("content"))):
                yield from list_content(part, index)
        case "reasoning":
            for member in (Member.SUMMARY, Member.REASONING):
                for index, part in enumerate(_read_part_list(item.get(member.value))):
                    yield (member, index), read_whole_text(part.get("text")), None
        case "function_call":
            yield (Member.ARGUMENTS, 0), read_arguments(item.get("arguments")), None
        case _:
            pass  # an item that the caller did not ask for, such as a search of the provider's


def list_content(part: Json, index: int) -> Iterator[TextOfPart]:
    """Yields the texts of one part of a message. Raises MalformedAnswer."""
    yield (Member.TEXT, index), read_whole_text(part.get("text")), part.get("logprobs")
    yield (Member.REFUSAL, index), read_whole_text(part.get("refusal")), None


def read_whole_text(value: object) -> str:
    """Returns a text; empty for null. Raises MalformedAnswer for another type, because a text would be lost."""
    if value is not None and not isinstance(value, str):
        raise MalformedAnswer("a text has another type")
    return value or ""


def read_arguments(value: object) -> str:
    """Returns the arguments of a call as JSON; some servers write an object. Raises MalformedAnswer."""
    return json.dumps(value) if isinstance(value, dict) else read_whole_text(value)


def _read_part_list(value: object) -> list[Json]:
    """Returns the parts in a member of an item; some servers write one text. Raises MalformedAnswer."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"text": value}]
    if not isinstance(value, list) or not all(isinstance(part, dict | str) for part in value):
        raise MalformedAnswer("the content of an item is not a list of parts")
    return [part if isinstance(part, dict) else {"text": part} for part in value]
