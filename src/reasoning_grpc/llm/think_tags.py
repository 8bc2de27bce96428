"""`TaggedAnswer`: converts what a model writes between think tags to reasoning.

It is for models whose `ThinkTags` say that they write them, and converts tags only at the beginning of an answer;
elsewhere a tag is text.
"""

from enum import Enum
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import ResponseFormatKind, ThinkTags, count_bytes
from reasoning_grpc.domain.events import ContentDelta, Delta, ModelEvent, ReasoningDelta, TokenLogprob
from reasoning_grpc.llm.port import ModelCall

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


class _Position(Enum):
    """The part of an answer to which its next text belongs."""

    BEGINNING = "BEGINNING"
    """So far there was only white space, and perhaps the beginning of a tag."""
    REASONING = "REASONING"
    ANSWER = "ANSWER"


class TaggedAnswer:
    """Converts the events of one answer.

    Text is held back only as long as it may be the beginning of a tag. The tags are left out, and so is the white
    space before the first tag and after each tag. Text that is held back when a call fails is lost.
    """

    def __init__(self, tags: ThinkTags, call: ModelCall) -> None:
        """With OPEN the answer begins inside the tags, unless the call requests JSON and it begins as JSON.

        A server may force a model to write JSON, which then has no place for reasoning.
        """
        self._opened = tags is ThinkTags.OPEN
        self._is_json = _requests_json(call)
        self._position = _Position.BEGINNING
        self._tail = ""
        """The end of the text so far, if a tag may begin there."""
        self._held_deltas: list[ContentDelta] = []
        """All deltas so far, at the position BEGINNING."""
        self._trims = False
        """Whether a tag was the last text, so that white space after it is left out."""

    def convert(self, event: ModelEvent) -> list[ModelEvent]:
        """Returns the events that the next event becomes, which may be none or several."""
        if not isinstance(event, ContentDelta) or event.refusal:
            return [*self._release(), event]
        if self._position is _Position.ANSWER and not (self._trims and event.text):
            return [event]
        deltas = self._read(event)
        return [*(self._sign(deltas, event.signature) if event.signature else deltas)]

    def _sign(self, deltas: list[Delta], signature: str) -> list[Delta]:
        """Returns the deltas and what is held back, the last of them signed: a signature ends its part."""
        *before, last = deltas + self._release() or [ContentDelta("")]
        return [*before, replace(last, signature=signature)]

    def _read(self, delta: ContentDelta) -> list[Delta]:
        match self._position:
            case _Position.BEGINNING:
                return self._read_beginning(delta)
            case _Position.REASONING:
                return self._read_reasoning(self._tail + delta.text, delta.logprobs)
            case _Position.ANSWER:
                return self._read_answer(delta.text, delta.logprobs)

    def _read_beginning(self, delta: ContentDelta) -> list[Delta]:
        text = (self._tail + delta.text).lstrip()
        self._held_deltas.append(delta)
        if OPENING.startswith(text) and text != OPENING:
            self._tail = text
            return []
        if not text.startswith(OPENING) and not self._is_inside(text):
            self._position = _Position.ANSWER
            return self._release()
        self._position, self._trims = _Position.REASONING, True
        self._held_deltas.clear()
        return self._read_reasoning(text.removeprefix(OPENING), delta.logprobs)

    def _is_inside(self, text: str) -> bool:
        """Whether an answer that begins with this text, without an opening tag, begins with reasoning."""
        return self._opened and not (self._is_json and text.startswith(("{", "[")))

    def _read_reasoning(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
        """Reads text inside the tags. `logprobs` belong to its end; reasoning has no field for its own."""
        reasoning, closing, answer = text.partition(CLOSING)
        self._tail = "" if closing else _find_tag_start(reasoning)
        reasoning = reasoning.removesuffix(self._tail)
        if self._trims:
            reasoning = reasoning.lstrip()
            self._trims = not reasoning
        deltas: list[Delta] = [ReasoningDelta(reasoning)] if reasoning else []
        if closing:
            self._position = _Position.ANSWER
            deltas += self._read_answer(answer, logprobs)
        return deltas

    def _read_answer(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
        """Reads text after the closing tag, without the white space that follows the tag."""
        text = text.lstrip()
        self._trims = not text
        return [ContentDelta(text, _select_last(logprobs, text))] if text else []

    def _release(self) -> list[Delta]:
        """Returns the text held back, which is no tag after all; the beginning of the answer is over."""
        held, tail, position = self._held_deltas, self._tail, self._position
        self._held_deltas, self._tail, self._trims = [], "", False
        if position is _Position.BEGINNING:
            self._position = _Position.ANSWER
        if position is _Position.REASONING or (position is _Position.BEGINNING and self._opened):
            return [ReasoningDelta(tail)] if tail else []
        return [*held]


def _find_tag_start(text: str) -> str:
    """Returns the end of a text with which the closing tag may begin; empty if it cannot."""
    end = text[text.rfind("<") :] if "<" in text else ""
    return end if CLOSING.startswith(end) else ""


def _select_last(logprobs: tuple[TokenLogprob, ...], text: str) -> tuple[TokenLogprob, ...]:
    """Returns the last tokens, those of which this text at their end consists."""
    missing, first = count_bytes(text), len(logprobs)
    while missing > 0 and first > 0:
        first -= 1
        missing -= len(logprobs[first].raw_bytes) or count_bytes(logprobs[first].token)
    return logprobs[first:]


def _requests_json(call: ModelCall) -> bool:
    return call.response_format is not None and call.response_format.kind is not ResponseFormatKind.TEXT
