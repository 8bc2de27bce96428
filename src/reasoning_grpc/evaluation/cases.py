"""Reads files of labelled prompts: conversations, each with the route that it should take.

A file has one JSON object per line; the example has line breaks for its reader:

    {"id": "trip-yes", "route": "reasoning", "tags": ["multi-turn"], "messages": [
        {"role": "user", "content": "A week in Japan for two?"},
        {"role": "assistant", "content": "Shall I plan it day by day, within 3000 euros?"},
        {"role": "user", "content": "yes"}]}

Roles are `system`, `user`, `assistant` and `tool`. A message of the assistant may have `tool_calls` besides or instead
of `content`: a list of {"id", "name", "arguments"}, in which the arguments are an object. The `call_id` of a tool's
message names the call that it answers. `tags` and `language` may be left out.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from reasoning_grpc.evaluation.case_reader import Case, CaseReader


class Half(StrEnum):
    """A part of the bundled prompts."""

    TUNING = "tuning"
    """Prompts on which a router may be tuned."""
    HELD_OUT = "held-out"
    """Prompts that only measure: they were written before a router was tuned, and are not looked at while one is."""


class InvalidCases(Exception):
    """A file does not hold labelled prompts; each problem names the line of the file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


def read_bundled_cases(half: Half | None = None) -> tuple[Case, ...]:
    """Returns the labelled prompts of the package, or of one half of them."""
    names = {Half.TUNING: "routing.jsonl", Half.HELD_OUT: "routing_held_out.jsonl"}
    chosen = names.values() if half is None else [names[half]]
    return parse_cases(b"\n".join(files(__package__).joinpath(name).read_bytes() for name in chosen))


def read_cases(file: Path) -> tuple[Case, ...]:
    """Returns the labelled prompts of a file. Raises OSError and InvalidCases."""
    return parse_cases(file.read_bytes())


def parse_cases(content: bytes) -> tuple[Case, ...]:
    """Returns the labelled prompts in the content of a file. Raises InvalidCases with every problem."""
    cases: list[Case] = []
    lines: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        case, problems_of_line = _parse_line(line)
        if case is not None and lines.setdefault(case.id, number) != number:
            problems_of_line = [f"id: is already used in line {lines[case.id]}"]
        problems += [f"line {number}: {problem}" for problem in problems_of_line]
        if case is not None:
            cases.append(case)
    if not cases and not problems:
        problems = ["holds no prompts"]
    if problems:
        raise InvalidCases(problems)
    return tuple(cases)


def _parse_line(line: bytes) -> tuple[Case | None, list[str]]:
    """Returns the case in a line, or None and what is wrong with the line."""
    try:
        value = json.loads(line.decode())
    except UnicodeDecodeError:
        return None, ["is not UTF-8"]
    except json.JSONDecodeError as error:
        return None, [f"is not JSON: {error.msg} at column {error.colno}"]
    except (RecursionError, ValueError):  # too deep nesting, or a whole number with thousands of digits
        return None, ["is not JSON that can be read"]
    reader = CaseReader()
    case = reader.read_case(value)
    return (None if reader.problems else case), reader.problems
