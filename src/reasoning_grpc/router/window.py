"""The end of a conversation as data: what a classifier is shown of a request."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from reasoning_grpc.domain import Media, Message, Part, Refusal, Role, Text, ToolCall, ToolResult, text_bytes

_SHARE: Final = 0.75
"""Of the room that is left, what one message may take: the longest last message leaves some for those before it."""
_LEAST_CHARACTERS: Final = 40
"""Less of a message says nothing."""
_CUT: Final = " [...] "
_LEAST_KEPT: Final = 12
"""Of fewer characters of a text that is cut, only the first are shown."""
_SCANNED: Final = 4
"""So many times the room for a message are looked at for what is worth showing."""
_WORDS: Final = re.compile("[A-Za-z ]")
_UNFORGEABLE: Final = str.maketrans(dict.fromkeys("<\uff1c\ufe64", "\u2039") | dict.fromkeys(">\uff1e\ufe65", "\u203a"))
"""Whoever writes the closing tag of the window into a message writes another; the wide forms become these in some
tokenizers."""
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that take no ink, or none of their own, and that Python calls printable all the same."""


def conversation_window(
    messages: Iterable[Message], *, max_messages: int, max_characters: int, max_tokens: int | None = None
) -> str:
    """The end of the conversation, one JSON object a line, the oldest first.

    What cannot be seen is left out of the texts, and long ones are cut in their middle. `max_characters` is of the
    texts; `max_tokens`, which are guessed and rather too many than too few, of all. System messages say who answers,
    not what is asked: they are shown only if there is nothing else.
    """
    spoken = [message for message in messages if message.role is not Role.SYSTEM] or list(messages)
    said = [(message.role, " ".join(_texts(message.content))) for message in spoken[-max_messages:]]
    room = max_characters
    while True:
        lines = "\n".join(_lines(said, room))
        tokens = _most_tokens(lines)
        if max_tokens is None or tokens <= max_tokens or room < _LEAST_CHARACTERS:
            return lines
        room = max(0, min(room * 9 // 10, room * max_tokens // tokens))


def _most_tokens(text: str) -> int:
    """As many tokens as a text can have with most tokenizers: one for two letters of words, one for any other byte."""
    in_words = len(_WORDS.findall(text))
    return text_bytes(text) - in_words // 2


def _lines(said: list[tuple[Role, str]], room: int) -> list[str]:
    lines: list[str] = []
    for role, text in reversed(said):
        characters = int(room * _SHARE)
        if lines and characters < _LEAST_CHARACTERS:
            break
        shown = _shown(text, characters)
        room -= len(shown)
        lines.append(json.dumps({"role": role.value.lower(), "text": shown}, ensure_ascii=False))
    return lines[::-1]


def _texts(content: Iterable[Part]) -> Iterator[str]:
    for part in content:
        match part.content:
            case Text(text=text) | Refusal(text=text):
                yield text
            case ToolCall(name=name, arguments=arguments):
                yield f"[calls the tool {name}: {arguments}]"
            case ToolResult(content=result):
                yield result
            case Media(mime_type=mime_type):
                yield f"[{mime_type}]"
            case _:
                pass


def _shown(text: str, characters: int) -> str:
    """What can be seen of a text, cut in its middle to so many characters."""
    scanned = _SCANNED * characters
    if len(text) > 2 * scanned:
        text = text[:scanned] + text[len(text) - scanned :]
    visible = "".join(each if each.isprintable() else " " * each.isspace() for each in _INVISIBLE.sub("", text))
    words = " ".join(visible.split()).translate(_UNFORGEABLE)
    if len(words) <= characters:
        return words
    kept = characters - len(_CUT)
    return words[: kept - kept // 3] + _CUT + words[-(kept // 3) :] if kept >= _LEAST_KEPT else words[:characters]
