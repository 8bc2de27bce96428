"""Reads the log of a server whose lines of calls got a verdict, so that every answer can become a labelled prompt.

A line is one that the server logged for a call, with the key `verdict`, which names the route that was right:

    {"request_id": "req_1", "route": "reasoning", "route_source": "EMBEDDING", "verdict": "passthrough"}

The word "right" stands for the route that was taken. All other keys of a line may stay, and lines without a verdict are
left out.
"""

import json
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.cases import InvalidCases
from reasoning_grpc.evaluation.routing import Outcome
from reasoning_grpc.v1 import routing_pb2

_RIGHT: Final = "right"
_PREFIX: Final = "ROUTE_SOURCE_"
_SOURCES: Final = frozenset(routing_pb2.RouteSource.keys())


def read_judged_calls(file: Path) -> list[Outcome]:
    """Returns the outcomes of the calls with a verdict. Raises OSError, and InvalidCases with every problem."""
    outcomes: list[Outcome] = []
    problems: list[str] = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            problems.append(f"line {number}: is not JSON that can be read")
            continue
        if not isinstance(entry, dict) or "verdict" not in entry:
            continue
        if problem := _find_problem(entry):
            problems.append(f"line {number}: {problem}")
            continue
        outcomes.append(_build_outcome(entry))
    if not outcomes and not problems:
        problems = ["holds no call with a verdict"]
    if problems:
        raise InvalidCases(problems)
    return outcomes


def _find_problem(entry: dict[str, Any]) -> str:
    for key in ("request_id", "route", "verdict"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            return f"{key}: must be a text that is not empty"
    if _PREFIX + str(entry.get("route_source", "")) not in _SOURCES:
        return "route_source: must be the source of a decision"
    for key in ("route_confidence", "duration_ms"):
        value = entry.get(key, 0)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return f"{key}: must be a number"
    return ""


def _build_outcome(entry: dict[str, Any]) -> Outcome:
    decision = routing_pb2.RouteDecision(
        route=entry["route"], source=routing_pb2.RouteSource.Value(_PREFIX + entry["route_source"])
    )
    if "route_confidence" in entry:
        decision.confidence = entry["route_confidence"]
    expected = entry["route"] if entry["verdict"] == _RIGHT else entry["verdict"]
    milliseconds = entry.get("duration_ms")
    return Outcome(
        Case(id=entry["request_id"], route=expected, messages=()),
        seconds=None if milliseconds is None else milliseconds / 1000,
        decision=decision,
    )
