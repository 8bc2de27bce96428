"""Tool results as lines of JSON, for steps in which the provider's own tool calls are not used."""

import json
import re
from collections.abc import Iterable
from typing import Final

from reasoning_grpc.domain import ToolCall, ToolResult
from reasoning_grpc.tools import cut

_TAG: Final = "tool_results"
_ESCAPED: Final = {"</": "<\\/", "\uff1c": "\\uff1c", "\ufe64": "\\ufe64"}
"""Escapes, valid in JSON, that keep a result from containing the closing tag. The wide forms are escaped too, because
some tokenizers turn them into the plain one."""
_LINE_BREAK: Final = re.compile(r"[\r\n][ \t\r\n]*")
"""A line break of JSON with the indentation after it. No string of JSON contains one, so nothing is lost with it."""


def format_results(results: Iterable[tuple[ToolCall, ToolResult]], max_characters: int | None) -> str:
    """Writes each call with its result as one JSON object a line, between tags that no result can contain.

    A result longer than about `max_characters` is cut, and says so. None means no limit.
    """
    return enclose_data(_TAG, (_format_line(call, result, max_characters) for call, result in results))


def enclose_data(tag: str, lines: Iterable[str]) -> str:
    """Encloses lines of JSON in tags that none of them can contain."""
    return "\n".join((f"<{tag}>", *map(_escape, lines), f"</{tag}>"))


def _escape(line: str) -> str:
    for written, escaped in _ESCAPED.items():
        line = line.replace(written, escaped)
    return line


def _format_line(call: ToolCall, result: ToolResult, max_characters: int | None) -> str:
    text = _as_json(result.content)
    if max_characters is not None and len(text) > max_characters:
        room = max_characters * len(result.content) // len(text)  # JSON quoting makes it longer
        text = _quote(cut(result.content, room)[0])
    kind = "error" if result.is_error else "result"
    return f'{{"tool": {_quote(call.name)}, "arguments": {_as_json(call.arguments)}, "{kind}": {text}}}'


def _as_json(text: str) -> str:
    """Returns JSON text on one line, without its indentation, and any other text as a JSON string."""
    try:
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return _quote(text)
    return _LINE_BREAK.sub(" ", text)


def _refuse_constant(name: str) -> None:
    """Refuses NaN and Infinity, which Python reads as numbers although they are no JSON."""
    raise ValueError(name)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
