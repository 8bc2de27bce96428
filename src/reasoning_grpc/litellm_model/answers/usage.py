"""The tokens that an answer used, from the counts that the upstream reported."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from reasoning_grpc.domain import Usage, UsageSource, estimate_tokens
from reasoning_grpc.litellm_model.lenient import Json, add_known, read_object, read_token_count

_PLAIN_COUNTS: Final = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens")).keys()
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens")


def find_usage(answer: Mapping[str, Any], choice: Json | None) -> Json:
    """Returns the counts in one event from wherever servers put them: in the event, a vendor's field, the choice."""
    found: Json = {}
    if not ("usage" in answer or "x_groq" in answer or (choice and "usage" in choice)):
        return found  # most events: bursts have thousands of them
    for holder in (answer, answer.get("x_groq"), choice):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            found = {**found, **usage} if found else usage
    return found


def merge_usage(before: Mapping[str, Any], usage: Mapping[str, Any]) -> Json:
    """Returns the counts so far with those of a later event, which win; a total belongs to the counts beside it.

    A null in the later event says nothing of a count that is known.
    """
    usage = {name: value for name, value in usage.items() if value is not None}
    merged = {**before, **usage}
    if "total_tokens" not in usage and any(name in usage for name in _COUNTS):
        merged.pop("total_tokens", None)
    return merged


def has_counts(reported: Mapping[str, Any]) -> bool:
    """Whether any of the counts is a number of tokens."""
    return any(read_token_count(reported.get(name)) is not None for name in (*_COUNTS, "total_tokens"))


def convert_usage(
    reported: Mapping[str, Any], *, estimated_input_tokens: int, output_bytes: int, uncounted_bytes: int = 0
) -> Usage:
    """Converts the counts that the upstream reported, checks their sums, and estimates the counts that it left out.

    `output_bytes` is the length of the answer, for an estimate of its tokens; `uncounted_bytes` is the length of what
    came after the last count.
    """
    counts = _Counts.read(reported)
    if not uncounted_bytes and counts.add_up:  # most answers
        return counts.build_usage(UsageSource.PROVIDER)
    counts.drop_zeros(has_input=estimated_input_tokens > 0, has_output=output_bytes > 0)
    counts.derive_missing()
    counts.drop_zeros(has_input=estimated_input_tokens > 0, has_output=output_bytes > 0)
    is_counted = counts.input is not None and counts.output is not None and not uncounted_bytes
    if counts.output is not None:
        counts.output += estimate_tokens(uncounted_bytes)
    if not is_counted:
        counts.total = None
    adds_up = counts.correct_sums(
        estimated_input_tokens if counts.input is None else counts.input,
        estimate_tokens(output_bytes) if counts.output is None else counts.output,
    )
    adds_up = adds_up and counts.has_parts_within
    return counts.build_usage(UsageSource.PROVIDER if is_counted and adds_up else UsageSource.ESTIMATED)


@dataclass(slots=True)
class _Counts:
    """The counts that an upstream reported; None where it reported none."""

    input: int | None
    output: int | None
    total: int | None
    cached_input: int | None
    cache_write: int | None
    long_cache_write: int | None
    audio_input: int | None
    reasoning: int | None

    @classmethod
    def read(cls, reported: Mapping[str, Any]) -> Self:
        """Reads the counts from wherever servers put them."""
        if reported.keys() <= _PLAIN_COUNTS:  # servers without a cache
            prompt, completion, total = map(read_token_count, map(reported.get, _PLAIN_COUNTS))
            return cls(prompt, completion, total or None, None, None, None, None, None)
        input_details = _read_details(reported, "prompt_tokens_details", "input_tokens_details")
        output_details = _read_details(reported, "completion_tokens_details", "output_tokens_details")
        written = read_object(reported.get("cache_creation") or input_details.get("cache_creation_token_details"))
        return cls(
            input=_find_count(reported.get("prompt_tokens"), reported.get("input_tokens")),
            output=_find_count(reported.get("completion_tokens"), reported.get("output_tokens")),
            total=_find_count(reported.get("total_tokens")) or None,  # some servers write 0 for "not counted"
            cached_input=_find_count(
                input_details.get("cached_tokens"),
                reported.get("prompt_cache_hit_tokens"),
                reported.get("cached_tokens"),
                reported.get("cache_read_input_tokens"),
            ),
            cache_write=_find_count(
                input_details.get("cache_write_tokens"),
                input_details.get("cache_creation_tokens"),
                reported.get("cache_creation_input_tokens"),
                add_known(*map(_find_count, written.values())) if written else None,
            ),
            long_cache_write=_find_count(written.get("ephemeral_1h_input_tokens")),
            audio_input=_find_count(input_details.get("audio_tokens")),
            reasoning=_find_count(output_details.get("reasoning_tokens"), reported.get("reasoning_tokens")),
        )

    @property
    def add_up(self) -> bool:
        """Whether the counts are known and consistent, so that nothing must be dropped, derived or corrected."""
        if not self.input or not self.output:
            return False
        is_sum = self.total is None or self.total == self.input + self.output
        is_whole = self.cached + self.written <= self.input and (self.reasoning or 0) <= self.output
        return is_sum and is_whole and self.has_parts_within

    @property
    def has_parts_within(self) -> bool:
        """Whether the parts that belong to a known count are no more than it."""
        return (self.audio_input or 0) <= (self.input or 0) and (self.long_cache_write or 0) <= self.written

    def build_usage(self, source: UsageSource) -> Usage:
        """Returns the usage by these counts, of which input and output are known."""
        assert self.input is not None
        assert self.output is not None
        audio, long_write = self.audio_input, self.long_cache_write
        return Usage(
            input_tokens=self.input,
            output_tokens=self.output,
            total_tokens=self.input + self.output,
            source=source,
            cached_input_tokens=self.cached_input,
            cache_write_tokens=self.cache_write,
            reasoning_tokens=self.reasoning,
            audio_input_tokens=None if audio is None else min(audio, self.input),
            long_cache_write_tokens=None if long_write is None else min(long_write, self.written),
        )

    @property
    def cached(self) -> int:
        """The tokens that were read from the provider's cache."""
        return self.cached_input or 0

    @property
    def written(self) -> int:
        """The tokens that were written to the provider's cache."""
        return self.cache_write or 0

    def drop_zeros(self, *, has_input: bool, has_output: bool) -> None:
        """Drops a count of 0 beside text: some servers write 0 for "not counted".

        A count that has parts stays, because some providers count the cache or the reasoning beside it.
        """
        if self.input == 0 and has_input and not self.cached + self.written:
            self.input = None
        if self.output == 0 and has_output and not self.reasoning:
            self.output = None

    def derive_missing(self) -> None:
        """Derives input or output from the total, where only the other one was reported and is no more than it."""
        if self.total is None:
            return
        if self.input is None and self.output is not None and self.output <= self.total:
            self.input = self.total - self.output
        elif self.output is None and self.input is not None and self.input <= self.total:
            self.output = self.total - self.input

    def correct_sums(self, input_tokens: int, output_tokens: int) -> bool:
        """Corrects counts that do not add up, by the rule that `Usage` in usage.proto states.

        Returns whether the provider's own numbers confirm the result.
        """
        cache, reasoning = self.cached + self.written, self.reasoning or 0
        missing = 0 if self.total is None else self.total - input_tokens - output_tokens
        for add_input, add_output in ((0, 0), (0, reasoning), (cache, 0), (cache, reasoning)):
            self.input, self.output = input_tokens + add_input, output_tokens + add_output
            if missing == add_input + add_output and cache <= self.input and reasoning <= self.output:
                return True
        self.input, self.output = input_tokens, output_tokens + max(0, missing)
        if missing > 0 and cache <= self.input and reasoning <= self.output:
            return True
        self.input = input_tokens + (cache if cache > input_tokens else 0)
        self.output = output_tokens + (reasoning if reasoning > output_tokens else 0)
        self.output = max(self.output, (self.total or 0) - self.input)
        return False


def _read_details(reported: Mapping[str, Any], *names: str) -> Json:
    """Returns the first of these members that is an object with members of its own; empty where none is."""
    for name in names:
        if details := read_object(reported.get(name)):
            return details
    return {}


def _find_count(*candidates: object) -> int | None:
    """Returns the first candidate that is a number of tokens."""
    for candidate in candidates:
        if candidate is not None and (count := read_token_count(candidate)) is not None:
            return count
    return None
