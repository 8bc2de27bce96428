"""What a model answered: a value, or what is wrong."""

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from reasoning_grpc.domain import AnswerFlaw, FinishReason
from reasoning_grpc.domain.events import ContentDelta, Event, ModelCallFinished, ToolCallDelta
from reasoning_grpc.llm.structured.schema import Schema, problem_with

T = TypeVar("T")


@dataclass(frozen=True)  # with slots, `Answered[X](...)` fails
class Answered(Generic[T]):
    """The model answered as it was asked to."""

    value: T


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The last answer of the model was no value."""

    flaw: AnswerFlaw
    problem: str
    """What is wrong with it, in words that have nothing of it in them."""


_TRUNCATED: Final = Unanswered(AnswerFlaw.TRUNCATED, "It was too long, and cut.")


@dataclass(slots=True)
class Answer:
    """What a model answered, as far as it was read."""

    max_characters: int
    text: str = ""
    refused: bool = False
    called_tool: bool = False
    finish_reason: FinishReason | None = None

    def add(self, event: Event) -> None:
        """Takes one event; the model's own reasoning is no part of the answer."""
        match event:
            case ContentDelta(refusal=True):
                self.refused = True
            case ContentDelta(text=text):
                self.text += text[: self.max_characters + 1 - len(self.text)]
            case ToolCallDelta():
                self.called_tool = True
            case ModelCallFinished(finish_reason=finish_reason):
                self.finish_reason = finish_reason
            case _:
                pass

    @property
    def is_too_long(self) -> bool:
        """Whether it went over our limit."""
        return len(self.text) > self.max_characters

    def outcome(self, schema: Schema[T]) -> Answered[T] | Unanswered:
        """What it comes to."""
        if self.refused:
            return Unanswered(AnswerFlaw.REFUSED, "It is a refusal.")
        if self.finish_reason is FinishReason.CONTENT_FILTER:
            return Unanswered(AnswerFlaw.FILTERED, "A filter ended it.")
        if self.called_tool:
            return Unanswered(AnswerFlaw.WRONG_SHAPE, "It calls a tool.")
        if self.is_too_long:
            return _TRUNCATED
        try:
            value = msgspec.json.decode(self.text)
        except (ValueError, RecursionError):
            return self._no_json()
        return _read(value, schema)

    def _no_json(self) -> Unanswered:
        if self.finish_reason is FinishReason.LENGTH:
            return _TRUNCATED
        if not self.text.strip():
            return Unanswered(AnswerFlaw.EMPTY, "It is empty.")
        return Unanswered(AnswerFlaw.NOT_JSON, "It is not JSON and nothing else.")


def _read(value: object, schema: Schema[T]) -> Answered[T] | Unanswered:
    """The value that this JSON stands for."""
    if problem := problem_with(value, schema.shape):
        return Unanswered(AnswerFlaw.WRONG_SHAPE, problem)
    try:
        return Answered(schema.read(value))
    except ValueError as exc:
        return Unanswered(AnswerFlaw.WRONG_SHAPE, str(exc))
