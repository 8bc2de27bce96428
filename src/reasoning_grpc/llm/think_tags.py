"""`UntaggedModel`: a `LanguageModel` around another that makes reasoning of what a model writes between think tags.

Only for models of which `ThinkTags` says so, and only at the beginning of an answer; elsewhere a tag is text. It
belongs around the timers, which wait for the upstream itself, and inside the spans, which tell reasoning as such.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from enum import Enum
from typing import Final

from reasoning_grpc.domain import CallContext, ResponseFormatKind, ThinkTags, text_bytes
from reasoning_grpc.domain.events import ContentDelta, Delta, ModelEvent, ReasoningDelta, TokenLogprob
from reasoning_grpc.llm.port import ModelCall, WrappedModel

OPENING: Final = "<think>"
CLOSING: Final = "</think>"


class UntaggedModel(WrappedModel):
    """Calls the inner model; the answers of models without think tags are the inner one's own.

    Of the others' text nothing is held back but what may be the beginning of a tag. The tags are left out, and with
    them the white space before the first one and after either. What is held back when a call fails is not told.
    """

    def stream(self, call: ModelCall, context: CallContext) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        tags = self.describe(call.model).think_tags
        events = self._inner.stream(call, context)
        if tags is ThinkTags.NONE:
            return events
        return _untagged(events, _TaggedAnswer(opened=tags is ThinkTags.OPEN, is_json=_asks_for_json(call)))


async def _untagged(
    events: AsyncGenerator[ModelEvent, None], answer: "_TaggedAnswer"
) -> AsyncGenerator[ModelEvent, None]:
    """The same events, but for the text between the tags. Owns `events`: closing this generator closes it."""
    async with aclosing(events):
        async for event in events:
            for told in answer.told(event):
                yield told


def _asks_for_json(call: ModelCall) -> bool:
    return call.response_format is not None and call.response_format.kind is not ResponseFormatKind.TEXT


class _Place(Enum):
    """Where in an answer its next text stands."""

    BEGINNING = "BEGINNING"
    """No text yet but white space, and perhaps the beginning of a tag."""
    REASONING = "REASONING"
    ANSWER = "ANSWER"


class _TaggedAnswer:
    """One answer, as far as it was read."""

    def __init__(self, *, opened: bool, is_json: bool) -> None:
        """`opened`: it begins inside. `is_json`: not if it begins as JSON, which a server may hold a model to."""
        self._opened = opened
        self._is_json = is_json
        self._place = _Place.BEGINNING
        self._tail = ""
        """The end of the text so far, if a tag may begin there."""
        self._held: list[ContentDelta] = []
        """All pieces so far, in the place BEGINNING."""
        self._trims = False
        """Whether a tag was the last, so that white space goes with it."""

    def told(self, event: ModelEvent) -> list[ModelEvent]:
        """The next event as it is told."""
        if not isinstance(event, ContentDelta) or event.refusal:
            return [*self._rest(), event]
        if self._place is _Place.ANSWER and not (self._trims and event.text):
            return [event]
        told = self._read(event)
        return [*(self._signed(told, event.signature) if event.signature else told)]

    def _signed(self, told: list[Delta], signature: str) -> list[Delta]:
        """The same, the last of them signed: their part ends, and so does what is held back of it."""
        *before, last = told + self._rest() or [ContentDelta("")]
        return [*before, replace(last, signature=signature)]

    def _read(self, delta: ContentDelta) -> list[Delta]:
        match self._place:
            case _Place.BEGINNING:
                return self._read_beginning(delta)
            case _Place.REASONING:
                return self._read_reasoning(self._tail + delta.text, delta.logprobs)
            case _Place.ANSWER:
                return self._read_answer(delta.text, delta.logprobs)

    def _read_beginning(self, delta: ContentDelta) -> list[Delta]:
        text = (self._tail + delta.text).lstrip()
        self._held.append(delta)
        if OPENING.startswith(text) and text != OPENING:
            self._tail = text
            return []
        if not text.startswith(OPENING) and not self._is_inside(text):
            self._place = _Place.ANSWER
            return self._rest()
        self._place, self._trims = _Place.REASONING, True
        self._held.clear()
        return self._read_reasoning(text.removeprefix(OPENING), delta.logprobs)

    def _is_inside(self, text: str) -> bool:
        """Whether an answer that begins with this text, which is no tag, begins with reasoning."""
        return self._opened and not (self._is_json and text.startswith(("{", "[")))

    def _read_reasoning(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
        """`logprobs` are those of the end of the text; the reasoning's go with it, as it has no place for them."""
        reasoning, closing, answer = text.partition(CLOSING)
        self._tail = "" if closing else _beginning_of_closing(reasoning)
        reasoning = reasoning.removesuffix(self._tail)
        if self._trims:
            reasoning = reasoning.lstrip()
            self._trims = not reasoning
        told: list[Delta] = [ReasoningDelta(reasoning)] if reasoning else []
        if closing:
            self._place = _Place.ANSWER
            told += self._read_answer(answer, logprobs)
        return told

    def _read_answer(self, text: str, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
        """Of what comes right after the closing tag."""
        text = text.lstrip()
        self._trims = not text
        return [ContentDelta(text, _of_the_end(logprobs, text))] if text else []

    def _rest(self) -> list[Delta]:
        """What is held back, as what it is when no more of a tag comes; what follows is not at the beginning."""
        held, tail, place = self._held, self._tail, self._place
        self._held, self._tail, self._trims = [], "", False
        if place is _Place.BEGINNING:
            self._place = _Place.ANSWER
        if place is _Place.REASONING or (place is _Place.BEGINNING and self._opened):
            return [ReasoningDelta(tail)] if tail else []
        return [*held]


def _beginning_of_closing(text: str) -> str:
    """The end of a text, if the closing tag may begin there; else nothing."""
    end = text[text.rfind("<") :] if "<" in text else ""
    return end if CLOSING.startswith(end) else ""


def _of_the_end(logprobs: tuple[TokenLogprob, ...], text: str) -> tuple[TokenLogprob, ...]:
    """Those of the tokens that a text at their end is made of."""
    missing, first = text_bytes(text), len(logprobs)
    while missing > 0 and first > 0:
        first -= 1
        missing -= len(logprobs[first].raw_bytes) or text_bytes(logprobs[first].token)
    return logprobs[first:]
