"""Tool results as data: how a model reads them that has no part of its provider's for them."""

import json
from collections.abc import Iterable
from typing import Final

from reasoning_grpc.domain import ToolCall, ToolResult
from reasoning_grpc.tools.results import cut

_TAG: Final = "tool_results"
_ESCAPED: Final = {"</": "<\\/", "\uff1c": "\\uff1c", "\ufe64": "\\ufe64"}
"""Nobody writes the closing tag into a result: the same text, as JSON may spell it. Some tokenizers take the wide forms
for the narrow one."""


def result_lines(results: Iterable[tuple[ToolCall, ToolResult]], most_characters: int | None) -> str:
    """What came of these calls, one JSON object a line, between tags that nothing in them can write.

    Of each result there are about so many characters at most; what is over is cut, visibly. None: any number.
    """
    lines = (_line(call, result, most_characters) for call, result in results)
    return "\n".join((f"<{_TAG}>", *lines, f"</{_TAG}>"))


def _line(call: ToolCall, result: ToolResult, most_characters: int | None) -> str:
    shown = _as_json(result.content)
    if most_characters is not None and len(shown) > most_characters:
        room = most_characters * len(result.content) // len(shown)  # as JSON it grows
        shown = _quoted(cut(result.content, room)[0])
    kind = "error" if result.is_error else "result"
    line = f'{{"tool": {_quoted(call.name)}, "arguments": {_as_json(call.arguments)}, "{kind}": {shown}}}'
    for written, escaped in _ESCAPED.items():
        line = line.replace(written, escaped)
    return line


def _as_json(text: str) -> str:
    """A text that is JSON as it is, on one line; any other one quoted."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return _quoted(text)
    return text.replace("\r", " ").replace("\n", " ")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
