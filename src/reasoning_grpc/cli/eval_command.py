"""Runs the commands of `eval`: they measure the quality of a running server with labelled prompts."""

import argparse
import dataclasses
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from reasoning_grpc.cli.client_options import FlagError, create_client
from reasoning_grpc.cli.console import PipedConsole
from reasoning_grpc.cli.eval_view import show_routing_report
from reasoning_grpc.cli.failure_report import report_failure
from reasoning_grpc.client import CallFailed
from reasoning_grpc.evaluation import (
    ONE_ATTEMPT,
    Case,
    InvalidCases,
    Outcome,
    build_routing_report,
    draw_calibration,
    read_bundled_cases,
    read_cases,
    read_earlier_run,
    read_judged_calls,
    route_cases,
)
from reasoning_grpc.v1 import routing_pb2

_MAX_PROBLEMS: Final = 20


async def evaluate_routing(parsed: argparse.Namespace) -> int:
    """Measures the router, and prints the report; the exit code is 0 whatever the figures are."""
    file: Path | None = parsed.compare
    try:
        earlier = None if file is None else read_earlier_run(file)
        file = parsed.log or parsed.file
        if parsed.log is not None:
            outcomes = read_judged_calls(parsed.log)
        else:
            cases = read_bundled_cases(parsed.half) if file is None else read_cases(file)
            outcomes = await _route_cases(_sample(cases, parsed.limit, parsed.seed), parsed)
    except InvalidCases as error:
        return report_file_problems(f"{file}", error.problems, as_json=parsed.json)
    except (CallFailed, FlagError, OSError) as error:
        return report_failure(error, parsed)
    report = build_routing_report(outcomes, default_route=parsed.default_route, seed=parsed.seed, earlier=earlier)
    if parsed.plot is not None:
        if report.calibration is None:
            print("reasoning-grpc: no decision has a confidence, so there is no plot", file=sys.stderr)
            return 1
        try:
            parsed.plot.write_text(draw_calibration(report.calibration), "utf-8")
        except OSError as error:
            return report_failure(error, parsed)
    if parsed.json:
        print(json.dumps(dataclasses.asdict(report)))
    else:
        show_routing_report(report)
    return 0


def _sample(cases: Sequence[Case], limit: int | None, seed: int) -> Sequence[Case]:
    """Returns `limit` randomly chosen cases in their order, because a file may be sorted by route."""
    if limit is None or limit >= len(cases):
        return cases
    return [cases[index] for index in sorted(random.Random(seed).sample(range(len(cases)), limit))]


async def _route_cases(cases: Sequence[Case], parsed: argparse.Namespace) -> list[Outcome]:
    console = PipedConsole(stderr=True, quiet=not sys.stderr.isatty())  # rich prints a line even after a disabled bar
    columns = (TextColumn("classifying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with create_client(parsed, ONE_ATTEMPT) as client:
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


def report_file_problems(name: str, problems: Sequence[str], *, as_json: bool) -> int:
    """Reports what is wrong with the lines of a file, and returns the exit code."""
    if as_json:
        print(json.dumps({"problems": [f"{name}: {problem}" for problem in problems]}))
        return 1
    for problem in problems[:_MAX_PROBLEMS]:
        print(f"reasoning-grpc: {name}: {problem}", file=sys.stderr)
    if len(problems) > _MAX_PROBLEMS:
        print(f"reasoning-grpc: {name}: and {len(problems) - _MAX_PROBLEMS} more", file=sys.stderr)
    return 1
