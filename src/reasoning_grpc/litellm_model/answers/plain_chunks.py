"""`read_plain_texts`: reads the most frequent events of an answer, chunks that hold text and nothing else.

Bursts have thousands of such chunks. A chunk that says anything more, in whatever form, does not fit the types here,
and is left to the lenient reader. A null, or an empty value that the lenient reader takes for one, says nothing.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, Literal

import msgspec

_EmptyText = Annotated[str, msgspec.Meta(max_length=0)]
_EmptyList = Annotated[list[Any], msgspec.Meta(max_length=0)]


class _PlainDelta(msgspec.Struct, gc=False):
    """The delta of a plain chunk. It has all members that the lenient reader knows, and only its text says anything."""

    content: str
    error: None = None
    function_call: None = None
    provider_specific_fields: None = None
    reasoning: _EmptyText | None = None
    reasoning_content: _EmptyText | None = None
    reasoning_details: _EmptyList | None = None
    refusal: _EmptyText | None = None
    thinking_blocks: _EmptyList | None = None
    tool_calls: _EmptyList | None = None


class _PlainChoice(msgspec.Struct, gc=False):
    delta: _PlainDelta
    error: None = None
    finish_reason: _EmptyText | None = None
    index: Literal[0] | None = 0
    logprobs: None = None
    usage: None = None


class _PlainChunk(msgspec.Struct, gc=False):
    choices: tuple[_PlainChoice]
    error: None = None
    id: str | None = None
    usage: None = None
    x_groq: None = None


_decode: Final = msgspec.json.Decoder(_PlainChunk).decode


def read_plain_texts(events: Iterable[bytes], continues: Callable[[str | None], bool]) -> list[str]:
    """Returns the texts of the plain chunks before the first other event.

    `continues` says whether a chunk with this id continues the answer; the answer is the same for equal ids.
    """
    texts: list[str] = []
    known_id: object = texts  # no id
    for event in events:
        if type(event) is not bytes:  # an event that has a name
            break
        try:
            chunk = _decode(event)
            if not event.isascii():
                event.decode()  # msgspec does not check the text of members that it skips
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            break
        text = chunk.choices[0].delta.content
        if not text or (chunk.id != known_id and not continues(chunk.id)):
            break
        known_id = chunk.id
        texts.append(text)
    return texts
