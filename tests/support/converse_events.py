"""Events of Bedrock's Converse API, as its servers stream them: each is a member with the event's name."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

Json = dict[str, Any]

CONVERSE_START: Final[Json] = {"messageStart": {"role": "assistant", "p": "abcdefgh"}}
CONVERSE_USAGE: Final[Json] = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}


def is_converse_event(event: Json) -> bool:
    """Whether an event is one of Bedrock's, or an exception."""
    (name, *_) = event
    return name.startswith(("message", "contentBlock", "metadata")) or name.endswith("Exception")


def converse_delta(index: int, **delta: Any) -> Json:
    """Returns a delta of a block."""
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": delta, "p": "abcd"}}


def converse_block_stop(index: int) -> Json:
    """Returns the end of a block."""
    return {"contentBlockStop": {"contentBlockIndex": index, "p": "ab"}}


def converse_text(index: int, *texts: str) -> Iterator[Json]:
    """Yields the events of a block of text, which has no start of its own."""
    yield from (converse_delta(index, text=text) for text in texts)
    yield converse_block_stop(index)


def converse_call_start(index: int, call_id: str, name: str = "f", **members: Any) -> Json:
    """Returns the start of a block with a call."""
    call = {"toolUseId": call_id, "name": name, **members}
    return {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": call}}}


def converse_call(index: int, call_id: str, name: str, *inputs: str) -> Iterator[Json]:
    """Yields the events of a block with a call."""
    yield converse_call_start(index, call_id, name)
    yield from (converse_delta(index, toolUse={"input": text}) for text in inputs)
    yield converse_block_stop(index)


def converse_stop(word: str | None = "end_turn", **members: Any) -> Json:
    """Returns the event with Bedrock's stop reason."""
    return {"messageStop": {"stopReason": word, **members}}


def converse_counts(usage: Any = None) -> Json:
    """Returns the last event, with the counts."""
    return {"metadata": {"usage": CONVERSE_USAGE if usage is None else usage, "metrics": {"latencyMs": 7}}}


def converse_stream(*parts: Json | Iterable[Json]) -> list[Json]:
    """Returns a stream of Bedrock's from its start; blocks are given as events."""
    return [CONVERSE_START, *(event for part in parts for event in ([part] if isinstance(part, dict) else part))]


def converse_end(word: str | None = "end_turn") -> list[Json]:
    """Returns the events after the last block."""
    return [converse_stop(word), converse_counts()]
