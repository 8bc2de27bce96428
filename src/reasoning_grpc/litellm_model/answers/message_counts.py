"""`MessageCounts`: reads the tokens that a message of Anthropic's has used, event by event."""

from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.litellm_model.lenient import Json, add_known, read_object, read_token_count

_INPUT_COUNTS: Final = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@dataclass(slots=True)
class MessageCounts:
    """The counts of the input so far.

    Anthropic reports the input at the start, and perhaps again at the end, apart from what was read from or written to
    its cache. Some servers report parts of it only at one of these places, and 0 at the other. The output is reported
    only at the end.
    """

    _uncached: int | None = None
    """The latest count of the input that is not in the cache; None until it is known."""
    _cache: list[int | None] = field(default_factory=list)
    """The latest counts of the tokens that were read from and written to the cache; empty until an event has counts."""

    def read(self, usage: Json, *, is_end: bool) -> Json:
        """Returns the counts of one event in the fields of the OpenAI protocol; empty where it has none."""
        if not usage:
            return {}
        counts = self._read_input(usage)
        if by_duration := read_object(usage.get("cache_creation")):  # the start alone has it
            counts["cache_creation"] = by_duration
        if is_end:
            counts["completion_tokens"] = usage.get("output_tokens")
            thinking = read_object(usage.get("output_tokens_details")).get("thinking_tokens")
            counts["completion_tokens_details"] = {"reasoning_tokens": thinking}
        return counts

    def _read_input(self, usage: Json) -> Json:
        uncached, *cache = (read_token_count(usage.get(name)) for name in _INPUT_COUNTS)
        if any(cache) or not self._cache:
            self._cache = cache
        if uncached or self._uncached is None:
            self._uncached = uncached
        if self._uncached is None:
            return {}
        cached, written = self._cache
        return {
            "prompt_tokens": add_known(self._uncached, cached, written),
            "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        }
