"""The tokens and the time that an answer used."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct

_BYTES_PER_TOKEN = 4


class ModelCallPurpose(StrEnum):
    """The purpose of a model call."""

    ROUTING = "ROUTING"
    STEP = "STEP"
    REPAIR = "REPAIR"
    PLAN = "PLAN"
    """The call splits the request into tasks."""
    SYNTHESIS = "SYNTHESIS"
    ANSWER = "ANSWER"


class UsageSource(StrEnum):
    """The source of token counts."""

    PROVIDER = "PROVIDER"
    ESTIMATED = "ESTIMATED"


class Usage(Struct, frozen=True):
    """Counts of tokens. None means that the provider did not report a count.

    Input tokens include cached, cache-write and audio tokens; output tokens include reasoning tokens.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    source: UsageSource
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    long_cache_write_tokens: int | None = None
    """The part of the cache-write tokens that the cache keeps for an hour, which has a price of its own."""

    def __add__(self, other: "Usage") -> "Usage":
        """Returns the sum. It is estimated when one of the two is."""
        estimated = UsageSource.ESTIMATED in (self.source, other.source)
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            total_tokens=self.total_tokens + other.total_tokens,
            source=UsageSource.ESTIMATED if estimated else UsageSource.PROVIDER,
            cached_input_tokens=_sum(self.cached_input_tokens, other.cached_input_tokens),
            cache_write_tokens=_sum(self.cache_write_tokens, other.cache_write_tokens),
            reasoning_tokens=_sum(self.reasoning_tokens, other.reasoning_tokens),
            audio_input_tokens=_sum(self.audio_input_tokens, other.audio_input_tokens),
            long_cache_write_tokens=_sum(self.long_cache_write_tokens, other.long_cache_write_tokens),
        )


def _count_nothing() -> Usage | None:
    return None


def _is_false() -> bool:
    return False


def _count_no_seconds() -> float:
    return 0.0


@dataclass(slots=True)
class UsageMeter:
    """Knows how far the attempt in progress has come and what it has used, so that no way out loses it."""

    read: Callable[[], Usage | None] = _count_nothing
    """Returns the usage so far; None where the provider has counted nothing. The adapter sets it for each attempt."""

    was_sent: Callable[[], bool] = _is_false
    """Returns whether the provider may have received the request, and bill it. The adapter sets it for each attempt."""

    count_queued_seconds: Callable[[], float] = _count_no_seconds
    """Returns how long the attempt has waited so far for a connection of this server's own, because all were in use.

    That time is not the provider's. The adapter sets it for each attempt.
    """

    def reset(self) -> None:
        """Forgets the attempt that has ended."""
        self.read = _count_nothing
        self.was_sent = _is_false
        self.count_queued_seconds = _count_no_seconds


class ModelCallUsage(Struct, frozen=True):
    """Tokens that one model call used."""

    call: int
    purpose: ModelCallPurpose
    model: str
    usage: Usage
    task: int = 0
    """Number of the task to which the call belongs; 0 outside of tasks."""


class Timings(Struct, frozen=True):
    """The durations of the parts of a request."""

    queue_seconds: float
    routing_seconds: float
    first_token_seconds: float | None
    """Time from the arrival of the request to the first delta. None when there was no delta."""
    total_seconds: float
    overhead_seconds: float
    """The part of the total that the server itself used, without waiting for an upstream, a tool or the client."""


class Pace(Struct, frozen=True):
    """How the deltas of an answer followed each other; an answer of one delta has no pace."""

    gap_counts: list[int]
    """The number of times between two deltas, by the buckets of a metric."""
    gap_seconds: float
    """The time from the first delta to the last."""
    seconds_per_token: float | None
    """The average time between two tokens. None when the answer has no more than one."""


class Attempt(Struct, frozen=True):
    """One attempt at a model call."""

    call: int
    number: int
    model: str
    start_offset_seconds: float
    """Time from the arrival of the request to the start of the attempt."""
    duration_seconds: float
    failure: str = ""
    """The reason of the error that ended the attempt. Empty when it succeeded."""
    http_status: int = 0


def count_bytes(text: str) -> int:
    """Returns the size of a text in UTF-8, on which every estimate of tokens is based."""
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def estimate_tokens(size_bytes: int) -> int:
    """Estimates the tokens of a text of this size: one for each four bytes, rounded up."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
