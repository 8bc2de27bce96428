"""`decode_plain_chunk`: decodes the most frequent events of an answer, chunks that hold texts, or nothing, or an end.

Bursts have thousands of such chunks. A chunk that says anything more, in whatever form, does not fit the types here,
and is left to the lenient reader. A null, or an empty value that the lenient reader takes for one, says nothing.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

_T = TypeVar("_T")
_EmptyText = Annotated[str, msgspec.Meta(max_length=0)]
_EmptyList = Annotated[list[Any], msgspec.Meta(max_length=0)]


class PlainDelta(msgspec.Struct, gc=False):
    """The delta of a plain chunk. It has all members that the lenient reader knows; only texts say anything."""

    content: str | None = None
    error: None = None
    function_call: None = None
    provider_specific_fields: None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: _EmptyList | None = None
    refusal: _EmptyText | None = None
    thinking_blocks: _EmptyList | None = None
    tool_calls: _EmptyList | None = None


class PlainChoice(msgspec.Struct, gc=False):
    """The choice of a plain chunk."""

    delta: PlainDelta
    error: None = None
    finish_reason: str | None = None
    index: Literal[0] | None = 0
    logprobs: None = None
    message: None = None
    text: _EmptyText | None = None
    usage: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A chunk whose texts, id and finish reason are all that it says."""

    choices: tuple[PlainChoice]
    error: None = None
    id: str | None = None
    usage: None = None
    x_groq: None = None


class PlainUsage(msgspec.Struct, gc=False):
    """A chunk without a choice, of which the usage is all that it says."""

    choices: _EmptyList
    usage: dict[str, Any]
    candidates: None = None
    error: None = None
    object: Literal["chat.completion.chunk"] | None = None
    type: None = None
    x_groq: None = None


_decode: Final = msgspec.json.Decoder(PlainChunk).decode
_decode_usage: Final = msgspec.json.Decoder(PlainUsage).decode


def decode_plain_chunk(event: bytes) -> PlainChunk | None:
    """Returns the plain chunk that an event is; None for any other event."""
    return _try(_decode, event)


def decode_plain_usage(event: bytes) -> Mapping[str, Any] | None:
    """Returns the usage that an event consists of; None for any other event."""
    chunk = _try(_decode_usage, event)
    return None if chunk is None else chunk.usage


def _try(decode: Callable[[bytes], _T], event: bytes) -> _T | None:
    if type(event) is not bytes:  # the kinds of events that have a name
        return None
    try:
        decoded = decode(event)
        if not event.isascii():
            event.decode()  # msgspec does not check the text of members that it skips
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return decoded
