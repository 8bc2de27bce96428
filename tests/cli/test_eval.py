"""`reasoning-grpc eval routing` measures a scripted server, and prints the report or the failure."""

import asyncio
import json
import os
import pty
import re
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from reasoning_grpc.evaluation.cases import read_bundled_cases
from reasoning_grpc.v1 import messages_pb2, routing_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest
from tests.support.commands import Finished, run, running_process
from tests.support.scripted_router import ScriptedRouter, build_decision, read_last_text, serve_script

pytestmark = pytest.mark.process


def write_cases(folder: Path, *labels: str) -> Path:
    """Writes a file with a prompt for each label, whose text is the label."""
    file = folder / "cases.jsonl"
    lines = [
        {"id": f"case-{place}", "route": label, "messages": [{"role": "user", "content": label}]}
        for place, label in enumerate(labels)
    ]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


async def evaluate(router: ScriptedRouter, *arguments: str) -> Finished:
    """Runs the command against the router."""
    return await run("eval", "routing", "--target", router.address, *arguments)


def always_passthrough(_: CompleteRequest) -> routing_pb2.RouteDecision:
    """Decides for the route passthrough."""
    return build_decision("passthrough")


async def test_without_a_file_the_bundled_prompts_are_routed() -> None:
    """Without a file each bundled prompt is routed once, and nothing is printed to standard error in a pipe."""
    async with serve_script(always_passthrough) as router:
        done = await evaluate(router, "--json")

    report = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (report["accuracy"]["total"], report["accuracy"]["share"]) == (len(read_bundled_cases()), 0.5)
    assert report["controls"]["always_default"]["gain"]["difference"] == 0
    assert len(router.requests) == len(read_bundled_cases())
    assert {request.routing.mode for request in router.requests} == {routing_pb2.ROUTING_MODE_AUTO}
    assert any(request.messages[-1].role == messages_pb2.ROLE_TOOL for request in router.requests)


async def test_the_report_is_printed_as_text(tmp_path: Path) -> None:
    """The text has accuracy, controls, routes, confusion, sources, reasons, latency, tokens and the wrong prompts."""
    file = write_cases(tmp_path, *["passthrough"] * 4, *["reasoning"] * 4)
    routes = iter(["reasoning", "reasoning", "passthrough", None])

    def script(request: CompleteRequest) -> routing_pb2.RouteDecision | None:
        route = "passthrough" if read_last_text(request) == "passthrough" else next(routes)
        return None if route is None else build_decision(route)

    async with serve_script(script) as router:
        done = await evaluate(router, str(file), "--concurrency", "1")

    lines = [re.sub(r" {2,}", "  ", line).rstrip() for line in done.out.splitlines()]
    assert (done.code, done.err) == (0, "")
    assert lines[:4] == [
        "of 8 prompts  right  95 % interval  router is better by  p-value",
        "router  75.0 %  40.9 to 92.9",
        "always passthrough  50.0 %  21.5 to 78.5  +25.0 (-17.2 to +57.2)  0.500",
        lines[3],
    ]
    assert re.fullmatch(r"the router's answers, shuffled  43\.8 %  [\d.]+ to [\d.]+  \+31\.2  0\.\d{3}", lines[3])
    for line in (
        "route  precision  95 % interval  recall  95 % interval  F1  prompts",
        "passthrough  80.0 %  37.6 to 96.4  100.0 %  51.0 to 100.0  0.889  4",
        "reasoning  100.0 %  34.2 to 100.0  50.0 %  15.0 to 85.0  0.667  4",
        "expected \\ chosen  passthrough  reasoning  (failed)",
        "passthrough  4  0  0",
        "reasoning  1  2  1",
        "classifier  7  85.7 %  48.7 to 97.4",
        "failed calls, counted as wrong  prompts",
        "SERVER_OVERLOADED  1",
        "classifier  7  100.0  100.0  100.0  100.0",
        "tokens: 350 in and 28 out, 7 prompts (small)",
        "cost: $0.000007",
        "wrong: 2",
        "  case-6: reasoning, not passthrough",
        "  case-7: reasoning, not (failed)",
    ):
        assert line in lines, done.out
    assert done.out.isascii()


async def test_a_limit_chooses_prompts_at_random(tmp_path: Path) -> None:
    """`--limit` chooses that many prompts at random, and the same ones for the same seed."""
    file = write_cases(tmp_path, *["passthrough"] * 30)

    async with serve_script(always_passthrough) as router:
        samples = [
            json.loads((await evaluate(router, str(file), "--json", "--limit", "5", *seed)).out)["prompts"]
            for seed in ((), (), ("--seed", "2"))
        ]

    first, again, other = [[prompt["id"] for prompt in sample] for sample in samples]
    assert len(first) == 5
    assert first == again != other
    assert first == sorted(first, key=lambda name: int(name.removeprefix("case-")))


async def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    """A wrong file exits with 1 and its first twenty problems, in JSON all of them, each with its line."""
    file = tmp_path / "bad.jsonl"
    file.write_text("{}\n" * 9)

    as_text, as_json = await asyncio.gather(
        run("eval", "routing", str(file)), run("eval", "routing", "--json", str(file))
    )

    errors = as_text.err.splitlines()
    assert (as_text.code, as_text.out, as_json.code, as_json.err) == (1, "", 1, "")
    assert errors[0] == f"reasoning-grpc: {file}: line 1: id: is missing"
    assert errors[20:] == [f"reasoning-grpc: {file}: and 7 more"]
    assert len(json.loads(as_json.out)["problems"]) == 27


async def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    """A missing file is reported in one line."""
    done = await run("eval", "routing", str(tmp_path / "none.jsonl"))

    assert (done.code, done.out) == (1, "")
    assert done.err == f"reasoning-grpc: {tmp_path / 'none.jsonl'}: No such file or directory\n"


async def test_a_missing_server_is_reported(tmp_path: Path) -> None:
    """Without a server one line is printed, and no report."""
    done = await run("eval", "routing", "--target", "127.0.0.1:1", str(write_cases(tmp_path, "passthrough")))

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("reasoning-grpc: UNAVAILABLE: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("flag", ["--limit", "--concurrency"])
async def test_a_number_below_one_is_refused(flag: str) -> None:
    """A limit or a concurrency below 1 is refused before a call is sent."""
    done = await run("eval", "routing", flag, "0")

    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"error: argument {flag}: must be a whole number of at least 1\n")


@pytest.mark.serial
async def test_a_terminal_gets_a_progress_bar(tmp_path: Path) -> None:
    """A terminal on standard error gets a progress bar; standard output has only the report."""
    file = write_cases(tmp_path, "passthrough", "reasoning")
    ours, theirs = pty.openpty()
    try:
        async with (
            serve_script(always_passthrough) as router,
            running_process(
                *("eval", "routing", "--target", router.address, "--json", str(file)),
                variables={"TERM": "xterm", "COLUMNS": "100"},
                stdout=PIPE,
                stderr=theirs,
            ) as process,
        ):
            out, _ = await process.communicate()
        output = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert json.loads(out)["accuracy"]["hits"] == 1
    assert "classifying" in output
    assert "2/2" in output
