"""`ThinkingTime`: how long the agent may think, so that the answer still comes in time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.domain import CallContext, ModelCallPurpose, read_clock
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Event,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
)

_UNKNOWN_SHARE: Final = 1 / 3
"""The part of the time that is kept for the answer of a model whose speed is not known."""
_MIN_SHARE: Final = 0.1
"""The part of the time that is always kept for the answer."""
_MARGIN: Final = 1.5
"""The expected duration of the answer is multiplied by this."""
_SPARE_SECONDS: Final = 0.1
_ANSWER_TOKENS: Final = 300
"""The expected length of an answer before one was measured."""
_NEW_WEIGHT: Final = 0.3
"""The weight of a new measurement in the exponential moving average."""
_SHORTER_WEIGHT: Final = 0.5
"""The weight of an answer that is shorter than expected. A longer one counts in full, because it may have been cut."""


@dataclass(frozen=True, slots=True)
class Speed:
    """The speed of a model's answers."""

    first_token_seconds: float
    seconds_per_token: float
    answer_tokens: float = _ANSWER_TOKENS
    """The average length of its answers after thinking."""

    def estimate_answer_seconds(self, max_tokens: int | None) -> float:
        """Estimates how long an answer of at most this many tokens takes."""
        tokens = self.answer_tokens if max_tokens is None else min(self.answer_tokens, max_tokens)
        return self.first_token_seconds + tokens * self.seconds_per_token


class Speeds:
    """The measured speed of each model. It is all that runs share."""

    def __init__(self) -> None:
        self._known: dict[str, Speed] = {}

    def get(self, model: str) -> Speed | None:
        """Returns the speed of a model; None when it was never measured."""
        return self._known.get(model)

    def record(self, model: str, speed: Speed, *, answer: bool) -> None:
        """Records the speed of one call, and its length if it was an answer."""
        old = self._known.get(model)
        if old is None:
            tokens = _expected(_ANSWER_TOKENS, speed.answer_tokens) if answer else _ANSWER_TOKENS
            self._known[model] = replace(speed, answer_tokens=tokens)
            return
        self._known[model] = Speed(
            _average(old.first_token_seconds, speed.first_token_seconds, _NEW_WEIGHT),
            _average(old.seconds_per_token, speed.seconds_per_token, _NEW_WEIGHT),
            _expected(old.answer_tokens, speed.answer_tokens) if answer else old.answer_tokens,
        )


class ThinkingTime:
    """The time of one run. It measures the speed of the models from the events of the run."""

    def __init__(
        self,
        speeds: Speeds,
        model: str,
        context: CallContext,
        *,
        limit_seconds: float,
        max_answer_tokens: int | None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock` returns seconds; without it the event loop's clock is used."""
        self._speeds = speeds
        self._model = model
        self._clock = clock or read_clock
        self._began = self._clock()
        self._limit = self._began + limit_seconds
        self._deadline = context.deadline
        self._max_answer_tokens = max_answer_tokens
        self._slowest = speeds.get(model)
        self._call_began = self._began
        self._delay = 0.0
        """The delay before the next attempt, which is not counted as time of the model."""
        self._first: float | None = None

    def now(self) -> float:
        """Returns the time of the event loop's clock, in seconds."""
        return self._clock()

    def elapsed_seconds(self) -> float:
        """Returns the time since the run began."""
        return self._clock() - self._began

    def remaining_seconds(self) -> float:
        """Returns the time that is left for thinking, not below zero."""
        return max(0.0, self.end_time() - self._clock())

    def end_time(self) -> float:
        """Returns when thinking must end, in seconds of the event loop's clock."""
        if self._deadline is None:
            return self._limit
        return min(self._limit, self._deadline - self._reserve_seconds(self._deadline - self._began))

    def record(self, event: Event) -> None:
        """Records an event of a model call at the time when it happens."""
        match event:
            case AttemptSwitched(delay_seconds=delay):
                self._delay = delay
            case ModelCallStarted():
                self._call_began, self._first, self._delay = self._clock() + self._delay, None, 0.0
            case ModelCallFinished():
                self._measure(event)
            case InternalDelta() | ContentDelta() | ReasoningDelta() | ToolCallDelta() if self._first is None:
                self._first = self._clock()
            case _:
                pass

    def _reserve_seconds(self, total: float) -> float:
        return reserve_answer_seconds(self._slowest, total, self._max_answer_tokens)

    def _measure(self, event: ModelCallFinished) -> None:
        now = self._clock()
        first = now if self._first is None else self._first
        tokens = max(1, event.usage.output_tokens)
        speed = Speed(max(0.0, first - self._call_began), (now - first) / tokens, tokens)
        answer = event.purpose is ModelCallPurpose.SYNTHESIS
        self._speeds.record(event.model, speed, answer=answer)
        if event.model == self._model and not answer:
            self._slowest = _slower(self._slowest, speed)


def reserve_answer_seconds(speed: Speed | None, total: float, max_tokens: int | None) -> float:
    """Returns the part of `total` seconds that is kept for an answer of at most this many tokens."""
    if speed is None:
        return total * _UNKNOWN_SHARE
    expected = speed.estimate_answer_seconds(max_tokens)
    return max(_MARGIN * expected + _SPARE_SECONDS, total * _MIN_SHARE)


def _slower(one: Speed | None, other: Speed) -> Speed:
    """Combines two speeds into one that is as slow as the slower of both in each respect."""
    if one is None:
        return replace(other, answer_tokens=_ANSWER_TOKENS)
    return Speed(
        max(one.first_token_seconds, other.first_token_seconds),
        max(one.seconds_per_token, other.seconds_per_token),
        one.answer_tokens,
    )


def _expected(old: float, new: float) -> float:
    """Returns the expected length of the next answer, in tokens."""
    return max(new, _average(old, new, _SHORTER_WEIGHT))


def _average(old: float, new: float, weight: float) -> float:
    """Returns the exponential moving average after a new value."""
    return old + weight * (new - old)
