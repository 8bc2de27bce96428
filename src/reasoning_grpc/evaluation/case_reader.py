"""`CaseReader`: reads one labelled prompt from its JSON, and reports what is wrong with it."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
    language: str = ""
    """The language of the conversation, such as "en"; empty when the file does not say."""


class CaseReader:
    """Reads the JSON of one case, and collects a sentence for each mistake in `problems`."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def read_case(self, value: object) -> Case:
        """Returns the case; it is valid only when `problems` is empty."""
        members = self._read_object(value, "", required=("id", "route", "messages"), optional=("tags", "language"))
        return Case(
            id=self._read_name(members, "id"),
            route=self._read_name(members, "route"),
            messages=tuple(self._read_messages(members.get("messages"))) if "messages" in members else (),
            tags=self._read_tags(members.get("tags", [])),
            language=self._read_name(members, "language"),
        )

    def _read_messages(self, value: object) -> Iterator[messages_pb2.Message]:
        listed = self._read_list(value, "messages")
        calls: set[str] = set()
        for index, each in enumerate(listed):
            yield self._read_message(each, f"messages[{index}]", calls)
        last = listed[-1] if listed else {}
        if isinstance(last, dict) and last.get("role") in ("system", "assistant"):
            self._report("messages", "must end with a message of the user or a tool")

    def _read_message(self, value: object, path: str, calls: set[str]) -> messages_pb2.Message:
        """Returns the message; `calls` holds the ids of the tool calls so far, and is extended."""
        role = value.get("role") if isinstance(value, dict) else None
        if isinstance(value, dict) and (not isinstance(role, str) or role not in _ROLES):
            self._report(f"{path}.role", f"must be one of {', '.join(_ROLES)}")
            return messages_pb2.Message()
        with_calls = role == "assistant" and isinstance(value, dict) and "tool_calls" in value
        members = self._read_object(
            value,
            path,
            required=("role", "tool_calls" if with_calls else "content", *(["call_id"] if role == "tool" else [])),
            optional=("content",) if with_calls else (),
        )
        parts: list[messages_pb2.Part] = []
        if role == "tool":
            parts.append(messages_pb2.Part(tool_result=self._read_tool_result(members, path, calls)))
        elif "content" in members:
            parts.append(messages_pb2.Part(text=self._read_text(members, "content", path)))
        if with_calls:
            parts += [
                messages_pb2.Part(tool_call=call) for call in self._read_tool_calls(members["tool_calls"], path, calls)
            ]
        return messages_pb2.Message(role=_ROLES[role] if role else messages_pb2.ROLE_UNSPECIFIED, content=parts)

    def _read_tool_calls(self, value: object, path: str, calls: set[str]) -> Iterator[messages_pb2.ToolCall]:
        for index, each in enumerate(self._read_list(value, f"{path}.tool_calls")):
            call_path = f"{path}.tool_calls[{index}]"
            members = self._read_object(each, call_path, required=("id", "name", "arguments"))
            if "arguments" in members and not isinstance(members["arguments"], dict):
                self._report(f"{call_path}.arguments", "must be an object")
            call_id = self._read_name(members, "id", call_path)
            if call_id in calls:
                self._report(f"{call_path}.id", "is the id of an earlier call")
            calls.add(call_id)
            arguments = self._check_encodable(
                json.dumps(members.get("arguments"), ensure_ascii=False), f"{call_path}.arguments"
            )
            yield messages_pb2.ToolCall(
                id=call_id, name=self._read_name(members, "name", call_path), arguments=arguments
            )

    def _read_tool_result(self, members: dict[str, Any], path: str, calls: set[str]) -> messages_pb2.ToolResult:
        call_id = self._read_name(members, "call_id", path)
        if "call_id" in members and call_id not in calls:
            self._report(f"{path}.call_id", "must be the id of an earlier call")
        return messages_pb2.ToolResult(call_id=call_id, content=self._read_text(members, "content", path))

    def _read_tags(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(tag, str) and _NAME.fullmatch(tag) for tag in value):
            self._report("tags", f"must be a list of texts, each of which {_NAME_RULE}")
            return ()
        if len(set(value)) < len(value):
            self._report("tags", "must not repeat a tag")
        return tuple(value)

    def _read_object(
        self, value: object, path: str, *, required: Sequence[str], optional: Sequence[str] = ()
    ) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._report(path, "must be an object")
            return {}
        for key in required:
            if key not in value:
                self._report(_join_path(path, key), "is missing")
        for key in value:
            if key not in required and key not in optional:
                self._report(_join_path(path, key), "is not a known key")
        return value

    def _read_list(self, value: object, path: str) -> list[Any]:
        if isinstance(value, list) and value:
            return value
        self._report(path, "must be a list that is not empty")
        return []

    def _read_text(self, members: dict[str, Any], key: str, path: str) -> str:
        if key not in members:
            return ""
        value = members[key]
        if not isinstance(value, str) or not value.strip():
            self._report(_join_path(path, key), "must be a text that is not empty")
            return ""
        return self._check_encodable(value, _join_path(path, key))

    def _read_name(self, members: dict[str, Any], key: str, path: str = "") -> str:
        if key not in members:
            return ""
        value = members[key]
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            self._report(_join_path(path, key), _NAME_RULE)
            return ""
        return value

    def _check_encodable(self, text: str, path: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:  # one half of a surrogate pair, such as \ud83d, cannot be sent
            self._report(path, "is not Unicode text")
            return ""
        return text

    def _report(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}" if path else problem)


def _join_path(path: str, key: str) -> str:
    quoted = key if _NAME.fullmatch(key) else json.dumps(key[:64])
    return f"{path}.{quoted}" if path else quoted
