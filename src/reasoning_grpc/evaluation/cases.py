"""Labelled prompts: conversations, each with the route that it should take.

A file of them has one JSON object a line; this one is broken for its reader:

    {"id": "trip-yes", "route": "reasoning", "tags": ["multi-turn"], "messages": [
        {"role": "user", "content": "A week in Japan for two?"},
        {"role": "assistant", "content": "Shall I plan it day by day, within 3000 euros?"},
        {"role": "user", "content": "yes"}]}

Roles are `system`, `user`, `assistant` and `tool`. A message of the assistant may have `tool_calls` beside or instead
of `content`: a list of {"id", "name", "arguments"}, the arguments an object. A message of a tool names in `call_id` the
call that it answers. `tags` may be left out.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.v1 import messages_pb2

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAME_RULE: Final = "must be 1 to 64 of letters, digits, underscore, dot and dash"
_ROLES: Final = {
    "system": messages_pb2.ROLE_SYSTEM,
    "user": messages_pb2.ROLE_USER,
    "assistant": messages_pb2.ROLE_ASSISTANT,
    "tool": messages_pb2.ROLE_TOOL,
}


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation, and the route that it should take."""

    id: str
    route: str
    messages: tuple[messages_pb2.Message, ...] = field(repr=False)
    tags: tuple[str, ...] = ()


class BadCases(Exception):
    """A file does not hold labelled prompts; every problem is a line that names the line of the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def shipped_cases() -> tuple[Case, ...]:
    """The labelled prompts that come along."""
    return parse_cases(files(__package__).joinpath("routing.jsonl").read_bytes())


def read_cases(file: Path) -> tuple[Case, ...]:
    """The labelled prompts of a file. Raises OSError and BadCases."""
    return parse_cases(file.read_bytes())


def parse_cases(content: bytes) -> tuple[Case, ...]:
    """The labelled prompts in the content of a file. Raises BadCases."""
    cases: list[Case] = []
    lines: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        case, wrong = _parsed(line)
        if case is not None and lines.setdefault(case.id, number) != number:
            wrong = [f"id: is that of line {lines[case.id]} too"]
        problems += [f"line {number}: {problem}" for problem in wrong]
        if case is not None:
            cases.append(case)
    if not cases and not problems:
        problems = ["holds no prompts"]
    if problems:
        raise BadCases(problems)
    return tuple(cases)


def _parsed(line: bytes) -> tuple[Case | None, list[str]]:
    """What a line holds, or what is wrong with it."""
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError:
        return None, ["is not UTF-8"]
    except json.JSONDecodeError as error:
        return None, [f"is not JSON: {error.msg} at column {error.colno}"]
    except (RecursionError, ValueError):  # nested too deeply; a whole number of thousands of digits
        return None, ["is not JSON that can be read"]
    reader = _Reader()
    case = reader.case(value)
    return (None if reader.problems else case), reader.problems


class _Reader:
    """Reads the JSON of one case; collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def case(self, value: object) -> Case:
        given = self._object(value, "", required=("id", "route", "messages"), optional=("tags",))
        return Case(
            id=self._name(given, "id"),
            route=self._name(given, "route"),
            messages=tuple(self._messages(given.get("messages"))) if "messages" in given else (),
            tags=self._tags(given.get("tags", [])),
        )

    def _messages(self, value: object) -> Iterator[messages_pb2.Message]:
        listed = self._list(value, "messages")
        calls: set[str] = set()
        for index, each in enumerate(listed):
            yield self._message(each, f"messages[{index}]", calls)
        last = listed[-1] if listed else {}
        if isinstance(last, dict) and last.get("role") in ("system", "assistant"):
            self._wrong("messages", "must end with what is to be answered, of the user or a tool")

    def _message(self, value: object, path: str, calls: set[str]) -> messages_pb2.Message:
        """The message; `calls` are the ids of the tool calls so far, and grow."""
        role = value.get("role") if isinstance(value, dict) else None
        if isinstance(value, dict) and (not isinstance(role, str) or role not in _ROLES):
            self._wrong(f"{path}.role", f"must be one of {', '.join(_ROLES)}")
            return messages_pb2.Message()
        with_calls = role == "assistant" and isinstance(value, dict) and "tool_calls" in value
        given = self._object(
            value,
            path,
            required=("role", "tool_calls" if with_calls else "content", *(["call_id"] if role == "tool" else [])),
            optional=("content",) if with_calls else (),
        )
        parts: list[messages_pb2.Part] = []
        if role == "tool":
            parts.append(messages_pb2.Part(tool_result=self._tool_result(given, path, calls)))
        elif "content" in given:
            parts.append(messages_pb2.Part(text=self._text(given, "content", path)))
        if with_calls:
            parts += [messages_pb2.Part(tool_call=call) for call in self._tool_calls(given["tool_calls"], path, calls)]
        return messages_pb2.Message(role=_ROLES[role] if role else messages_pb2.ROLE_UNSPECIFIED, content=parts)

    def _tool_calls(self, value: object, path: str, calls: set[str]) -> Iterator[messages_pb2.ToolCall]:
        for index, each in enumerate(self._list(value, f"{path}.tool_calls")):
            place = f"{path}.tool_calls[{index}]"
            given = self._object(each, place, required=("id", "name", "arguments"))
            if "arguments" in given and not isinstance(given["arguments"], dict):
                self._wrong(f"{place}.arguments", "must be an object")
            call_id = self._name(given, "id", place)
            if call_id in calls:
                self._wrong(f"{place}.id", "is that of an earlier call")
            calls.add(call_id)
            arguments = self._encodable(json.dumps(given.get("arguments"), ensure_ascii=False), f"{place}.arguments")
            yield messages_pb2.ToolCall(id=call_id, name=self._name(given, "name", place), arguments=arguments)

    def _tool_result(self, given: dict[str, Any], path: str, calls: set[str]) -> messages_pb2.ToolResult:
        call_id = self._name(given, "call_id", path)
        if "call_id" in given and call_id not in calls:
            self._wrong(f"{path}.call_id", "must be the id of an earlier call")
        return messages_pb2.ToolResult(call_id=call_id, content=self._text(given, "content", path))

    def _tags(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(tag, str) and _NAME.fullmatch(tag) for tag in value):
            self._wrong("tags", f"must be a list of texts, each of which {_NAME_RULE}")
            return ()
        if len(set(value)) < len(value):
            self._wrong("tags", "must not repeat themselves")
        return tuple(value)

    def _object(
        self, value: object, path: str, *, required: Sequence[str], optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(path, "must be an object")
            return {}
        for key in required:
            if key not in value:
                self._wrong(_joined(path, key), "is missing")
        for key in value:
            if key not in required and key not in optional:
                self._wrong(_joined(path, key), "is not a known key")
        return value

    def _list(self, value: object, path: str) -> list[Any]:
        if isinstance(value, list) and value:
            return value
        self._wrong(path, "must be a list, and not empty")
        return []

    def _text(self, given: dict[str, Any], key: str, path: str) -> str:
        if key not in given:
            return ""
        value = given[key]
        if not isinstance(value, str) or not value.strip():
            self._wrong(_joined(path, key), "must be a text, and not empty")
            return ""
        return self._encodable(value, _joined(path, key))

    def _name(self, given: dict[str, Any], key: str, path: str = "") -> str:
        if key not in given:
            return ""
        value = given[key]
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self._wrong(_joined(path, key), _NAME_RULE)
            return ""
        return value

    def _encodable(self, text: str, path: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a pair of escapes, such as \ud83d, which cannot be sent
            self._wrong(path, "is not Unicode text")
            return ""
        return text

    def _wrong(self, path: str, what: str) -> None:
        self.problems.append(f"{path}: {what}" if path else what)


def _joined(path: str, key: str) -> str:
    shown = key if _NAME.fullmatch(key) else json.dumps(key[:64])
    return f"{path}.{shown}" if path else shown
