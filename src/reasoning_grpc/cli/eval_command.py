"""The evaluations: how good a running server is, on labelled prompts."""

import argparse
import dataclasses
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reasoning_grpc.cli.client_commands import FlagError, complain, make_client
from reasoning_grpc.cli.console import PipedConsole
from reasoning_grpc.cli.eval_view import show_routing_report
from reasoning_grpc.client import CallFailed
from reasoning_grpc.evaluation.case_reader import Case
from reasoning_grpc.evaluation.cases import InvalidCases, read_bundled_cases, read_cases
from reasoning_grpc.evaluation.routing import ONE_ATTEMPT, Outcome, route_cases
from reasoning_grpc.evaluation.routing_report import build_routing_report
from reasoning_grpc.v1 import routing_pb2

_MOST_PROBLEMS: Final = 20


async def eval_routing(parsed: argparse.Namespace) -> int:
    """Measures the router; whatever the figures are, the exit code is 0."""
    file: Path | None = parsed.file
    try:
        cases = read_bundled_cases() if file is None else read_cases(file)
        outcomes = await _outcomes(_sample(cases, parsed.limit, parsed.seed), parsed)
    except InvalidCases as error:
        return _complain_of_file(f"{file}", error.problems, as_json=parsed.json)
    except (CallFailed, FlagError, OSError) as error:
        return complain(error, parsed)
    report = build_routing_report(outcomes, default_route=parsed.default_route, seed=parsed.seed)
    if parsed.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        show_routing_report(report)
    return 0


def _sample(cases: Sequence[Case], limit: int | None, seed: int) -> Sequence[Case]:
    """So many of the cases, drawn by lot and in their order: a file may be sorted by route."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[place] for place in sorted(random.Random(seed).sample(range(len(cases)), limit))]


async def _outcomes(cases: Sequence[Case], parsed: argparse.Namespace) -> list[Outcome]:
    console = PipedConsole(stderr=True, quiet=not sys.stderr.isatty())  # rich ends even a disabled bar with a line
    columns = (TextColumn("classifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with make_client(parsed, ONE_ATTEMPT) as client:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=len(cases))
            return await route_cases(
                client,
                cases,
                mode=routing_pb2.RoutingMode.Value(f"ROUTING_MODE_{parsed.mode.upper()}"),
                model=parsed.model,
                concurrency=parsed.concurrency,
                timeout_seconds=parsed.timeout_seconds,
                on_outcome=lambda: progress.advance(task),
            )


def _complain_of_file(name: str, problems: Sequence[str], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"problems": [f"{name}: {problem}" for problem in problems]}))
        return 1
    for problem in problems[:_MOST_PROBLEMS]:
        print(f"reasoning-grpc: {name}: {problem}", file=sys.stderr)
    if len(problems) > _MOST_PROBLEMS:
        print(f"reasoning-grpc: {name}: and {len(problems) - _MOST_PROBLEMS} more", file=sys.stderr)
    return 1
