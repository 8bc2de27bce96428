"""The conversation window: the end of a conversation, written as data for the classifier's model."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from reasoning_grpc.domain import Media, Message, Part, Refusal, Role, Text, ToolCall, ToolResult, count_bytes

_SHARE: Final = 0.75
"""The part of the remaining room that one message may take: a long last message leaves room for earlier ones."""
_MIN_CHARACTERS: Final = 40
"""Fewer characters of a message say nothing."""
_CUT: Final = " [...] "
_MIN_BOTH_ENDS: Final = 12
"""Below this many characters a cut text keeps its beginning alone, not both ends."""
_SCANNED: Final = 4
"""A text is read up to this many times its room on each side, so that a huge text costs little."""
_WORDS: Final = re.compile("[A-Za-z ]")
_UNFORGEABLE: Final = str.maketrans(dict.fromkeys("<\uff1c\ufe64", "\u2039") | dict.fromkeys(">\uff1e\ufe65", "\u203a"))
"""Replaces angle brackets, so that no message can contain the closing tag of the window. The wide forms are replaced
too, because some tokenizers turn them into plain ones."""
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Invisible characters that `str.isprintable` accepts."""


def conversation_window(
    messages: Iterable[Message], *, max_messages: int, max_characters: int, max_tokens: int | None = None
) -> str:
    """Returns the end of the conversation, one JSON object a line, the oldest message first.

    Invisible characters are removed, and long texts are cut in the middle. `max_characters` limits the texts alone;
    `max_tokens` limits the whole window, by an estimate that is rather too high. System messages describe the
    assistant, not the request: they are included only when there are no other messages.
    """
    spoken = [message for message in messages if message.role is not Role.SYSTEM] or list(messages)
    texts = [(message.role, " ".join(list_texts(message.content))) for message in spoken[-max_messages:]]
    room = max_characters
    while True:
        lines = "\n".join(_lines(texts, room))
        tokens = _max_tokens(lines)
        if max_tokens is None or tokens <= max_tokens or room < _MIN_CHARACTERS:
            return lines
        room = max(0, min(room * 9 // 10, room * max_tokens // tokens))


def _max_tokens(text: str) -> int:
    """Estimates the most tokens a text has in common tokenizers: one for two letters, one for any other byte."""
    in_words = len(_WORDS.findall(text))
    return count_bytes(text) - in_words // 2


def _lines(texts: list[tuple[Role, str]], room: int) -> list[str]:
    """Returns the lines of the latest messages whose texts fit into `room` characters, the oldest first."""
    lines: list[str] = []
    for role, text in reversed(texts):
        characters = int(room * _SHARE)
        if lines and characters < _MIN_CHARACTERS:
            break
        visible = cut_text(text, characters)
        room -= len(visible)
        lines.append(json.dumps({"role": role.value.lower(), "text": visible}, ensure_ascii=False))
    return lines[::-1]


def list_texts(content: Iterable[Part]) -> Iterator[str]:
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


def cut_text(text: str, characters: int) -> str:
    """Returns the visible characters of a text, cut in the middle to at most this many."""
    scanned = _SCANNED * characters
    if len(text) > 2 * scanned:
        text = text[:scanned] + text[len(text) - scanned :]
    visible = "".join(each if each.isprintable() else " " * each.isspace() for each in _INVISIBLE.sub("", text))
    words = " ".join(visible.split()).translate(_UNFORGEABLE)
    if len(words) <= characters:
        return words
    kept = characters - len(_CUT)
    return words[: kept - kept // 3] + _CUT + words[-(kept // 3) :] if kept >= _MIN_BOTH_ENDS else words[:characters]
