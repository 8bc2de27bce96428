"""`ThinkingTime`: until when the agent may think, so that the answer still comes in time."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.domain import CallContext, ModelCallPurpose
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
    UnshownDelta,
)

_UNKNOWN_SHARE: Final = 1 / 3
"""Of the time there is, kept for the answer of a model that was never measured."""
_LEAST_SHARE: Final = 0.1
_MARGIN: Final = 1.5
_SPARE_SECONDS: Final = 0.1
_ANSWER_TOKENS: Final = 300
"""Of an answer, before one was measured."""
_NEW: Final = 0.3
"""How much a measurement moves what is remembered."""
_SHORTER: Final = 0.5
"""The same of an answer that is shorter than expected; a longer one counts at once, for it might have been cut."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model answers."""

    first_token_seconds: float
    seconds_per_token: float
    answer_tokens: float = _ANSWER_TOKENS
    """Of the answers it gave after thinking."""

    def answer_seconds(self, most_tokens: int | None) -> float:
        """How long an answer takes it, of so many tokens at most."""
        tokens = self.answer_tokens if most_tokens is None else min(self.answer_tokens, most_tokens)
        return self.first_token_seconds + tokens * self.seconds_per_token


class Speeds:
    """What is known of the speed of models, from the calls they answered; they share no more than that."""

    def __init__(self) -> None:
        self._known: dict[str, Speed] = {}

    def of(self, model: str) -> Speed | None:
        """The speed of a model; None: it was never measured."""
        return self._known.get(model)

    def measured(self, model: str, speed: Speed, *, answer: bool) -> None:
        """Takes in the speed of one call; its tokens only if it was an answer."""
        old = self._known.get(model)
        if old is None:
            tokens = _expected(_ANSWER_TOKENS, speed.answer_tokens) if answer else _ANSWER_TOKENS
            self._known[model] = replace(speed, answer_tokens=tokens)
            return
        self._known[model] = Speed(
            _moved(old.first_token_seconds, speed.first_token_seconds, _NEW),
            _moved(old.seconds_per_token, speed.seconds_per_token, _NEW),
            _expected(old.answer_tokens, speed.answer_tokens) if answer else old.answer_tokens,
        )


class ThinkingTime:
    """The time of one run; it hears its events to learn how fast the model is."""

    def __init__(
        self, speeds: Speeds, model: str, context: CallContext, *, limit_seconds: float, most_answer_tokens: int | None
    ) -> None:
        self._speeds = speeds
        self._model = model
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._limit = self._began + limit_seconds
        self._deadline = context.deadline
        self._most_answer_tokens = most_answer_tokens
        self._slowest = speeds.of(model)
        self._called = self._began
        self._delay = 0.0
        """How long the next attempt waits before it begins; that is no sign of a slow model."""
        self._first: float | None = None

    def now(self) -> float:
        """Of the event loop's clock, in seconds."""
        return self._clock()

    def elapsed_seconds(self) -> float:
        """Since the run began."""
        return self._clock() - self._began

    def left_seconds(self) -> float:
        """For thinking; not below zero."""
        return max(0.0, self.ends() - self._clock())

    def ends(self) -> float:
        """When thinking must end, in seconds of the event loop's clock."""
        if self._deadline is None:
            return self._limit
        return min(self._limit, self._deadline - self._reserve_seconds(self._deadline - self._began))

    def hear(self, event: Event) -> None:
        """Takes an event of a model call, when it happens."""
        match event:
            case AttemptSwitched(delay_seconds=delay):
                self._delay = delay
            case ModelCallStarted():
                self._called, self._first, self._delay = self._clock() + self._delay, None, 0.0
            case ModelCallFinished():
                self._measure(event)
            case UnshownDelta() | ContentDelta() | ReasoningDelta() | ToolCallDelta() if self._first is None:
                self._first = self._clock()
            case _:
                pass

    def _reserve_seconds(self, total: float) -> float:
        if self._slowest is None:
            return total * _UNKNOWN_SHARE
        expected = self._slowest.answer_seconds(self._most_answer_tokens)
        return max(_MARGIN * expected + _SPARE_SECONDS, total * _LEAST_SHARE)

    def _measure(self, event: ModelCallFinished) -> None:
        now = self._clock()
        first = now if self._first is None else self._first
        tokens = max(1, event.usage.output_tokens)
        speed = Speed(max(0.0, first - self._called), (now - first) / tokens, tokens)
        answer = event.purpose is ModelCallPurpose.SYNTHESIS
        self._speeds.measured(event.model, speed, answer=answer)
        if event.model == self._model and not answer:
            self._slowest = _slower(self._slowest, speed)


def _slower(one: Speed | None, other: Speed) -> Speed:
    """The slower of both in each respect."""
    if one is None:
        return replace(other, answer_tokens=_ANSWER_TOKENS)
    return Speed(
        max(one.first_token_seconds, other.first_token_seconds),
        max(one.seconds_per_token, other.seconds_per_token),
        one.answer_tokens,
    )


def _expected(old: float, new: float) -> float:
    """So many tokens the next answer may have."""
    return max(new, _moved(old, new, _SHORTER))


def _moved(old: float, new: float, share: float) -> float:
    return old + share * (new - old)
