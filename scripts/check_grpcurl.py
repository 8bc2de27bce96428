"""`make grpcurl`: calls every RPC of a server with the embedded model by grpcurl, with good and with bad input.

grpcurl must be on the PATH.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.server_process import run_server

SERVICE = "reasoning_grpc.v1.ReasoningService"
QUESTION = {"messages": [{"role": "ROLE_USER", "content": [{"text": "Say hi."}]}], "sampling": {"maxOutputTokens": 16}}
REASONING = {
    "messages": [{"role": "ROLE_USER", "content": [{"text": "What is 23 times 19?"}]}],
    "sampling": {"maxOutputTokens": 16},
    "routing": {"mode": "ROUTING_MODE_REASONING"},
    "include": {"thoughts": True, "toolResults": True},
}


@dataclass(frozen=True)
class Case:
    """One call, with the result that it must have."""

    title: str
    method: str
    request: dict[str, Any]
    is_right: Callable[[list[Any]], bool]
    """Returns whether the answers, or the error and its details, are as they must be."""
    code: int = 0
    """The expected gRPC status code."""
    metadata: tuple[str, ...] = ()


def _expect_reason(reason: str) -> Callable[[list[Any]], bool]:
    """Returns a check that the error has this reason in its details."""

    def has_reason(answers: list[Any]) -> bool:
        return any(detail.get("reason") == reason for detail in answers[0].get("details", []))

    return has_reason


def _expect_violation(field: str) -> Callable[[list[Any]], bool]:
    """Returns a check that the error has a violation of this field in its details."""

    def has_violation(answers: list[Any]) -> bool:
        details = answers[0].get("details", [])
        return any(each["field"] == field for detail in details for each in detail.get("field_violations", []))

    return has_violation


CASES = (
    Case("health", "grpc.health.v1.Health/Check", {}, lambda answers: answers == [{"status": "SERVING"}]),
    Case(
        "Complete",
        f"{SERVICE}/Complete",
        QUESTION,
        lambda answers: bool(answers[0]["message"]["content"][0]["text"]) and answers[0]["usage"]["total_tokens"] > 0,
    ),
    Case(
        "StreamComplete",
        f"{SERVICE}/StreamComplete",
        {"request": QUESTION},
        lambda answers: "started" in answers[0] and "content_delta" in answers[1] and "completed" in answers[-1],
    ),
    Case(
        "Complete with reasoning",
        f"{SERVICE}/Complete",
        {**REASONING, "agent": {"maxSteps": 2}},
        lambda answers: (
            answers[0]["route_decision"]["mode"] == "ROUTING_MODE_REASONING"
            and [step["number"] for step in answers[0]["steps"]]
            == [1, 2][: answers[0]["reasoning_finished"]["step_count"]]
            and bool(answers[0]["message"]["content"][0]["text"])
        ),
    ),
    Case(
        "StreamComplete with reasoning",
        f"{SERVICE}/StreamComplete",
        {"request": {**REASONING, "agent": {"maxSteps": 1, "allowedTools": {}}}},
        lambda answers: (
            "step_started" in answers[1]
            and any("reasoning_finished" in answer for answer in answers)
            and "completed" in answers[-1]
        ),
    ),
    Case(
        "Classify",
        f"{SERVICE}/Classify",
        {"request": QUESTION},
        lambda answers: (
            answers[0]["route_decision"]["mode"] == "ROUTING_MODE_PASSTHROUGH"
            and answers[0]["route_decision"]["source"] == "ROUTE_SOURCE_DEFAULT"
        ),
    ),
    Case(
        "Classify by metadata",
        f"{SERVICE}/Classify",
        {"request": QUESTION},
        lambda answers: answers[0]["route_decision"]["source"] == "ROUTE_SOURCE_METADATA",
        metadata=("x-routing-mode: passthrough",),
    ),
    Case(
        "Classify by the classifier",
        f"{SERVICE}/Classify",
        {"request": {**QUESTION, "routing": {"mode": "ROUTING_MODE_AUTO"}}},
        lambda answers: (
            answers[0]["route_decision"]["source"] == "ROUTE_SOURCE_CLASSIFIER"
            and answers[0]["route_decision"]["classification"]["usage"]["source"] == "USAGE_SOURCE_PROVIDER"
        ),
    ),
    Case(
        "ListModels",
        f"{SERVICE}/ListModels",
        {},
        lambda answers: answers[0]["models"][0]["name"] == "smollm2-135m-instruct",
    ),
    Case("no messages", f"{SERVICE}/Complete", {}, _expect_reason("INVALID_FIELD"), code=3),
    Case(
        "a model that is not served",
        f"{SERVICE}/StreamComplete",
        {"request": {**QUESTION, "model": "gpt-9"}},
        _expect_reason("MODEL_NOT_FOUND"),
        code=5,
    ),
    Case(
        "orchestration without tasks",
        f"{SERVICE}/Complete",
        {**QUESTION, "routing": {"mode": "ROUTING_MODE_ORCHESTRATION"}, "agent": {"maxTasks": 0}},
        _expect_violation("agent.max_tasks"),
        code=3,
    ),
    Case(
        "no steps",
        f"{SERVICE}/Complete",
        {**REASONING, "agent": {"maxSteps": 0}},
        _expect_violation("agent.max_steps"),
        code=3,
    ),
    Case(
        "an unknown tool",
        f"{SERVICE}/Complete",
        {**REASONING, "agent": {"allowedTools": {"names": ["rocket"]}}},
        _expect_violation("agent.allowed_tools"),
        code=3,
    ),
    Case(
        "a temperature out of range",
        f"{SERVICE}/Complete",
        {**QUESTION, "sampling": {"temperature": 9}},
        _expect_reason("INVALID_FIELD"),
        code=3,
    ),
)


def main() -> int:
    """Runs every case, and returns 1 when one of them fails."""
    failed = 0
    with TemporaryDirectory() as folder, run_server("--config", _write_configuration(folder)) as address:
        services = _grpcurl(address, "list").stdout.split()
        failed += _report("list by reflection", SERVICE in services, str(services))
        for case in CASES:
            flags = [part for entry in case.metadata for part in ("-H", entry)]
            done = _grpcurl(*flags, "-format-error", "-d", json.dumps(case.request), address, case.method)
            output = done.stderr if case.code else done.stdout
            has_passed = _convert_exit_code(done.returncode) == case.code and case.is_right(_read_objects(output))
            failed += _report(case.title, has_passed, done.stdout + done.stderr)
    return 1 if failed else 0


def _write_configuration(folder: str) -> str:
    """Writes a configuration with the model as classifier, and enough time on a busy machine, and returns its path."""
    file = Path(folder) / "reasoning.toml"
    file.write_text('[classifier]\nstrategy = "model"\ntimeout_seconds = 120\n')
    return str(file)


def _grpcurl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ("grpcurl", "-plaintext", "-max-time", "480", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _convert_exit_code(exit_code: int) -> int:
    """Returns the gRPC status code that grpcurl's exit code stands for."""
    return exit_code - 64 if exit_code > 64 else exit_code


def _read_objects(output: str) -> list[Any]:
    """Returns the JSON objects in the output, in their order."""
    decoder = json.JSONDecoder()
    objects: list[Any] = []
    rest = output.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        objects.append(value)
        rest = rest[end:].lstrip()
    return objects


def _report(title: str, has_passed: bool, output: str) -> int:
    """Prints the result of a case, and returns the number of failures, 0 or 1."""
    print(f"grpcurl: {title}: {'ok' if has_passed else 'FAILED'}", flush=True)
    if not has_passed:
        print(output, file=sys.stderr)
    return 0 if has_passed else 1


if __name__ == "__main__":
    sys.exit(main())
