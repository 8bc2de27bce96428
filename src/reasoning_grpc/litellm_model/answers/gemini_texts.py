"""`read_gemini_texts`: reads the most frequent responses of Gemini's, those with one text and nothing else for callers.

Bursts have thousands of them. A response that says anything more does not fit the types here, and is left to
`GeminiResponse`. Counts of tokens may stand in each, since only the last ones are ever read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

_EmptyText = Annotated[str, Meta(max_length=0)]


class _Part(Struct, gc=False, rename="camel"):
    text: Annotated[str, Meta(min_length=1)]
    thought: bool | None = None
    thought_signature: _EmptyText | None = None
    function_call: None = None


class _Content(Struct, gc=False):
    parts: tuple[_Part]


class _Candidate(Struct, gc=False, rename="camel"):
    content: _Content
    finish_reason: _EmptyText | None = None
    index: Literal[0] | None = 0
    logprobs_result: None = None
    error: None = None


class _Response(Struct, gc=False, rename="camel"):
    candidates: tuple[_Candidate]
    usage_metadata: Raw = Raw()
    response_id: str | None = None
    prompt_feedback: None = None
    error: None = None
    choices: None = None
    type: None = None
    object: None = None


_decode: Final = msgspec.json.Decoder(_Response).decode
_WITHOUT_COUNTS: Final = (Raw(), Raw(b"null"), Raw(b"{}"))


@dataclass(slots=True)
class GeminiTexts:
    """Texts of neighbouring responses."""

    counts: Raw
    """The counts in JSON, at first those that came before."""
    texts: list[str] = field(default_factory=list)
    counted: int | None = None
    """How many of the texts the counts include; None where the counts have not changed."""


def read_gemini_texts(events: Iterable[bytes], continues: Callable[[str | None], bool], counts: Raw) -> GeminiTexts:
    """Returns the texts of the responses before the first that has more, or something else.

    `continues` says whether a response with this id continues the answer; the answer is the same for equal ids.
    """
    read = GeminiTexts(counts)
    known_id: object = read  # no id
    for event in events:
        if type(event) is not bytes:  # an event that has a name
            break
        try:
            response = _decode(event)
            if not event.isascii():
                event.decode()  # msgspec does not check the text of members that it skips
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            break
        part = response.candidates[0].content.parts[0]
        if part.thought or (response.response_id != known_id and not continues(response.response_id)):
            break
        known_id = response.response_id
        read.texts.append(part.text)
        if has_counts(response.usage_metadata) and response.usage_metadata != read.counts:
            read.counts, read.counted = response.usage_metadata, len(read.texts)
    return read


def has_counts(counts: Raw) -> bool:
    """Whether the JSON of counts has any."""
    return counts not in _WITHOUT_COUNTS
