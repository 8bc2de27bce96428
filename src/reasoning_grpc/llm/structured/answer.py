"""Reads the answer of a model: a value, or what is wrong with the answer."""

import re
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from reasoning_grpc.domain import (
    AnswerFlaw,
    FinishReason,
    ModelCallPurpose,
    Usage,
    UsageSource,
    count_bytes,
    estimate_tokens,
    read_clock,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
    ToolCallDelta,
)
from reasoning_grpc.llm.port import ModelCall
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


class StructuredAnswer:
    """The answer of one model call, event by event, and its value in the end."""

    def __init__(self, call: ModelCall, purpose: ModelCallPurpose, max_characters: int) -> None:
        self._call = call
        self._purpose = purpose
        self._max_characters = max_characters
        self.text = ""
        self._is_refusal = False
        self._has_tool_call = False
        self._finish_reason: FinishReason | None = None
        self._attempt = ModelCallStarted(purpose, call.model)
        self._started = 0.0
        """When the attempt started, in seconds of the event loop's clock."""

    def record(self, event: Event) -> Event:
        """Records one event, and returns it as others may see it: text of the answer becomes an `InternalDelta`.

        The model's own reasoning is no part of the answer.
        """
        match event:
            case ContentDelta(text=text):
                self._is_refusal = self._is_refusal or event.refusal
                if not event.refusal:
                    self.text += text[: self._max_characters + 1 - len(self.text)]
                return InternalDelta(text)
            case ToolCallDelta(arguments=text):
                self._has_tool_call = True
                return InternalDelta(text)
            case ModelCallStarted():
                self._attempt, self._started = event, read_clock()
            case ModelCallFinished(finish_reason=finish_reason):
                self._finish_reason = finish_reason
            case _:
                pass
        return event

    @property
    def is_too_long(self) -> bool:
        """Whether the text is longer than our limit."""
        return len(self.text) > self._max_characters

    def build_end(self) -> ModelCallFinished:
        """Returns the event with which the call ends when its answer is too long, and is read no further."""
        attempt = self._attempt
        return ModelCallFinished(
            self._purpose,
            attempt.model,
            attempt.attempt,
            FinishReason.LENGTH,
            "",
            attempt.meter.read() or _estimate_usage(attempt.estimate_prompt_tokens(), self.text),
            read_clock() - self._started,
            self._call.omitted_messages,
            self._call.omitted_tokens,
        )

    def parse(self, schema: Schema[T]) -> TypedAnswer[T] | FlawedAnswer:
        """Returns the value of the answer, or what is wrong with it."""
        if self._is_refusal:
            return FlawedAnswer(AnswerFlaw.REFUSED, "It is a refusal.")
        if self._finish_reason is FinishReason.CONTENT_FILTER:
            return FlawedAnswer(AnswerFlaw.FILTERED, "A filter ended it.")
        if self._has_tool_call:
            return FlawedAnswer(AnswerFlaw.WRONG_SHAPE, "It calls a tool.")
        if self.is_too_long:
            return _TRUNCATED
        try:
            value = msgspec.json.decode(_remove_fence(self.text))
        except (ValueError, RecursionError):
            return self._describe_malformed()
        return _parse_value(value, schema)

    def _describe_malformed(self) -> FlawedAnswer:
        if self._finish_reason is FinishReason.LENGTH:
            return _TRUNCATED
        if not self.text.strip():
            return FlawedAnswer(AnswerFlaw.EMPTY, "It is empty.")
        return FlawedAnswer(AnswerFlaw.NOT_JSON, "It is not JSON and nothing else.")


def _estimate_usage(input_tokens: int, answer: str) -> Usage:
    output_tokens = estimate_tokens(count_bytes(answer))
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.ESTIMATED)


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
