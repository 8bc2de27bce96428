"""Examples of routes: conversations with the route that they should take, from which a router is trained.

Files have the format of `reasoning-grpc eval routing`, one JSON object a line; `id` and `tags` are not used:

    {"route": "reasoning", "messages": [{"role": "user", "content": "Plan a week in Rome for two."}]}
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import msgspec

from reasoning_grpc.config import RouteEntry
from reasoning_grpc.domain import Message, Part, Role, Text, ToolCall, ToolResult


@dataclass(frozen=True, slots=True)
class Example:
    """A conversation, and the route that it should take."""

    route: str
    messages: tuple[Message, ...]


class InvalidExamples(Exception):
    """A file does not hold examples; each problem names the line of the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class _Call(msgspec.Struct):
    id: str
    name: str
    arguments: dict[str, Any]


class _Message(msgspec.Struct):
    role: str
    content: str = ""
    tool_calls: list[_Call] = []
    call_id: str = ""

    def convert(self) -> Message:
        """Returns the message as the server's own type. Raises ValueError for an unknown role."""
        role = Role(self.role.upper())
        if role is Role.TOOL:
            return Message(role, (Part(ToolResult(self.call_id, self.content)),))
        calls = (
            Part(ToolCall(call.id, call.name, json.dumps(call.arguments, ensure_ascii=False)))
            for call in self.tool_calls
        )
        text = (Part(Text(self.content)),) if self.content else ()
        return Message(role, (*text, *calls))


class _Line(msgspec.Struct):
    route: str
    messages: list[_Message]
    id: str = ""
    tags: list[str] = []


def parse_examples(content: bytes) -> tuple[Example, ...]:
    """Returns the examples in the content of a file. Raises InvalidExamples with every problem."""
    examples: list[Example] = []
    problems: list[str] = []
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            decoded = decoder.decode(line)
            messages = tuple(message.convert() for message in decoded.messages)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
            problems.append(f"line {number}: {_explain(error)}")
            continue
        if not decoded.route or not any(message.content for message in messages):
            problems.append(f"line {number}: has no {'text' if decoded.route else 'route'}")
            continue
        examples.append(Example(decoded.route, messages))
    if not examples and not problems:
        problems = ["holds no examples"]
    if problems:
        raise InvalidExamples(problems)
    return tuple(examples)


def load_bundled_examples() -> tuple[Example, ...]:
    """Returns the examples of the built-in routes that the package contains."""
    return parse_examples(files(__package__).joinpath("examples.jsonl").read_bytes())


def build_route_examples(routes: Mapping[str, RouteEntry]) -> tuple[Example, ...]:
    """Returns the bundled examples and those of the configured routes, whose files can be read.

    A route that has no example is not there: the embedding cannot choose it. Raises OSError and InvalidExamples.
    """
    return (*load_bundled_examples(), *(example for entry in routes.values() for example in _read_entry(entry)))


def _read_entry(entry: RouteEntry) -> Iterable[Example]:
    for text in entry.examples:
        yield Example(entry.name, (Message(Role.USER, (Part(Text(text)),)),))
    if entry.examples_file is not None:
        examples = parse_examples(entry.examples_file.read_bytes())
        yield from (example for example in examples if example.route == entry.name)


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.DecodeError):
        return str(error)
    return "is not UTF-8" if isinstance(error, UnicodeDecodeError) else "has a role that is not known"
