"""Reads the answer of a model: a value, or what is wrong with the answer."""

import re
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from reasoning_grpc.domain import AnswerFlaw, FinishReason
from reasoning_grpc.domain.events import ContentDelta, Event, ModelCallFinished, ToolCallDelta
from reasoning_grpc.llm.structured.schema import Schema, find_problem

T = TypeVar("T")


@dataclass(frozen=True)  # with slots, `TypedAnswer[X](...)` would fail
class TypedAnswer(Generic[T]):
    """The value of an answer that follows its schema."""

    value: T


@dataclass(frozen=True, slots=True)
class FlawedAnswer:
    """A model's last answer had this flaw."""

    flaw: AnswerFlaw
    problem: str
    """A sentence that says what is wrong, without any text of the answer."""


_FENCE_MARKS: Final = ("`", "~")
_FENCE_MARKS_AT_LEAST: Final = 3
_LANGUAGE: Final = re.compile(r"[A-Za-z0-9_+.-]{0,20}")
_TRUNCATED: Final = FlawedAnswer(AnswerFlaw.TRUNCATED, "It was too long, and cut.")


@dataclass(slots=True)
class AnswerText:
    """The text of an answer, event by event, and its value in the end."""

    max_characters: int
    text: str = ""
    is_refusal: bool = False
    has_tool_call: bool = False
    finish_reason: FinishReason | None = None

    def record(self, event: Event) -> None:
        """Records one event; the model's own reasoning is no part of the answer."""
        match event:
            case ContentDelta(refusal=True):
                self.is_refusal = True
            case ContentDelta(text=text):
                self.text += text[: self.max_characters + 1 - len(self.text)]
            case ToolCallDelta():
                self.has_tool_call = True
            case ModelCallFinished(finish_reason=finish_reason):
                self.finish_reason = finish_reason
            case _:
                pass

    @property
    def is_too_long(self) -> bool:
        """Whether the text is longer than our limit."""
        return len(self.text) > self.max_characters

    def parse(self, schema: Schema[T]) -> TypedAnswer[T] | FlawedAnswer:
        """Returns the value of the answer, or what is wrong with it."""
        if self.is_refusal:
            return FlawedAnswer(AnswerFlaw.REFUSED, "It is a refusal.")
        if self.finish_reason is FinishReason.CONTENT_FILTER:
            return FlawedAnswer(AnswerFlaw.FILTERED, "A filter ended it.")
        if self.has_tool_call:
            return FlawedAnswer(AnswerFlaw.WRONG_SHAPE, "It calls a tool.")
        if self.is_too_long:
            return _TRUNCATED
        try:
            value = msgspec.json.decode(_remove_fence(self.text))
        except (ValueError, RecursionError):
            return self._describe_malformed()
        return _parse_value(value, schema)

    def _describe_malformed(self) -> FlawedAnswer:
        if self.finish_reason is FinishReason.LENGTH:
            return _TRUNCATED
        if not self.text.strip():
            return FlawedAnswer(AnswerFlaw.EMPTY, "It is empty.")
        return FlawedAnswer(AnswerFlaw.NOT_JSON, "It is not JSON and nothing else.")


def _remove_fence(text: str) -> str:
    """Returns the text within one outer code fence of Markdown, and any other text whole.

    Many models put JSON into a fence. The answer is an object, so the name of a language may stand before it, but
    no other word.
    """
    stripped = text.strip()
    mark = stripped[:1]
    size = len(stripped) - len(stripped.lstrip(mark)) if mark in _FENCE_MARKS else 0
    if size < _FENCE_MARKS_AT_LEAST or len(stripped) < 2 * size or not stripped.endswith(mark * size):
        return text
    inner = stripped[size:-size].strip()
    language, brace, rest = inner.partition("{")
    return brace + rest if _LANGUAGE.fullmatch(language.strip()) else inner


def _parse_value(value: object, schema: Schema[T]) -> TypedAnswer[T] | FlawedAnswer:
    """Returns the value for which this JSON stands, or what is wrong with the JSON."""
    if problem := find_problem(value, schema.shape):
        return FlawedAnswer(AnswerFlaw.WRONG_SHAPE, problem)
    try:
        return TypedAnswer(schema.parse(value))
    except ValueError as exc:
        return FlawedAnswer(AnswerFlaw.WRONG_SHAPE, str(exc))
