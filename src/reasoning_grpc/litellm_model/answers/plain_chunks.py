"""`decode_plain_chunk`: decodes the most frequent events of an answer, chunks that hold texts, or nothing, or an end.

Bursts have thousands of such chunks. A chunk that says anything more, in whatever form, does not fit the types here,
and is left to the lenient reader. A null, or an empty value that the lenient reader takes for one, says nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from reasoning_grpc.litellm_model.answers.json_events import decode_frequent

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


decode_plain_chunk: Final = msgspec.json.Decoder(PlainChunk).decode
"""Decodes a plain chunk; see `decode_frequent`."""
_decode_usage: Final = msgspec.json.Decoder(PlainUsage).decode


def decode_plain_usage(event: bytes) -> Mapping[str, Any] | None:
    """Returns the usage that an event consists of; None for any other event."""
    (chunk,) = decode_frequent(_decode_usage, [event])
    return None if chunk is None else chunk.usage
