"""`ask --reason` shows the agent's steps, thoughts and tools beside the answer."""

import asyncio
import json
import re
from asyncio.subprocess import DEVNULL, PIPE
from typing import Final

import pytest

from tests.support.commands import PATIENCE_SECONDS, Finished, running_process
from tests.support.server_process import (
    REFUSED_KEY,
    TOKEN,
    ServerFolder,
    ServerProcess,
)
from tests.support.upstream import FakeUpstream

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process]

QUESTION: Final = "What is 23 times 19?"
REASONING_ROUTE: Final = "route: reasoning with fake (request: The request asks for this mode.)"


def plan(thought: str, action: str, *expressions: str) -> str:
    """Returns a plan as the model answers it, with calls of the calculator."""
    calls = [{"name": "calculator", "arguments": json.dumps({"expression": text})} for text in expressions]
    return json.dumps({"thought": thought, "next_action": action, "tool_calls": calls, "concurrent": True})


def script_run(upstream: FakeUpstream) -> None:
    """Lets the model answer two steps, the first with two calls, and then the question."""
    upstream.reply(plan("I multiply.", "use_tools", "23 * 19", "23 / 0"))
    upstream.reply(plan("It is 437.", "finish"))
    upstream.reply("It is ", "437.")


def list_aside(finished: Finished) -> list[str]:
    """Returns the lines beside the answer, without the times, which differ from run to run."""
    return re.sub(r"\b\d+(\.\d)? m?s\b", "TIME", finished.err).splitlines()


async def test_ask_shows_the_steps(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """Steps, thoughts, tools and the end of thinking are printed beside the answer, which alone is piped."""
    script_run(server_folder.upstream)

    finished = await server_process.ask("ask", QUESTION, "--reason")

    first, *lines, summary = list_aside(finished)
    assert (finished.code, finished.out) == (0, "It is 437.\n")
    assert first == REASONING_ROUTE
    assert lines[0] == "step 1 of 8: I multiply."
    assert sorted(lines[1:5]) == [
        '  tool 1: calculator {"expression": "23 * 19"}',
        '  tool 1: ok in TIME: {"result":"437","exact":true}',
        '  tool 2: calculator {"expression": "23 / 0"}',
        "  tool 2: failed in TIME: The tool reported an error. It divides by zero.",
    ]
    assert lines[5:] == [
        "step 2 of 8: It is 437.",
        "thought for TIME, 2 steps, 2 tool calls: ready to answer",
    ]
    assert summary.startswith("done: stop, 33 + 21 tokens, $0.000285, ")


async def test_ask_shows_a_thought_at_once(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """The first step is printed before the model has begun to answer the second."""
    server_folder.upstream.reply(plan("First.", "continue"))
    gate = server_folder.upstream.gated(plan("Second.", "finish"))
    server_folder.upstream.reply("Done.")
    async with running_process(
        *("ask", "hi", "--reason", "--target", server_process.address),
        variables={"REASONING_TOKEN": TOKEN},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    ) as process:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert (await process.stderr.readline()).decode() == f"{REASONING_ROUTE}\n"
            assert await process.stderr.readline() == b"step 1 of 8: First.\n"
            assert gate.steps_sent == 0
            gate.open_all()
            out, err = await process.communicate()

    assert (process.returncode, out) == (0, b"Done.\n")
    assert err.startswith(b"step 2 of 8: Second.\n")


async def test_ask_prints_every_event_as_json(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """With `--json` every event of the agent is printed, with the thoughts and results that `--reason` requests."""
    script_run(server_folder.upstream)

    finished = await server_process.ask("ask", QUESTION, "--reason", "--json")

    events = [json.loads(line) for line in finished.out.splitlines()]
    kinds = [next(name for name, value in event.items() if isinstance(value, dict)) for event in events]
    assert (finished.code, finished.err) == (0, "")
    assert kinds[:3] == ["started", "step_started", "step_planned"]
    assert sorted(kinds[3:7]) == ["tool_finished"] * 2 + ["tool_started"] * 2
    assert kinds[7:12] == ["step_finished", "step_started", "step_planned", "step_finished", "reasoning_finished"]
    assert events[2]["step_planned"]["thought"] == "I multiply."
    results = {event["tool_finished"]["execution"].get("result") for event in events if "tool_finished" in event}
    assert results == {'{"result":"437","exact":true}', "It divides by zero."}


async def test_thoughts_are_shown_only_on_request(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """With `--mode reasoning` alone the steps are shown without thoughts and results."""
    script_run(server_folder.upstream)

    finished = await server_process.ask("ask", QUESTION, "--mode", "reasoning")

    lines = list_aside(finished)
    assert finished.out == "It is 437.\n"
    assert lines[1] == "step 1 of 8: uses tools"
    assert "  tool 1: ok in TIME" in lines
    assert lines[6] == "step 2 of 8: is ready to answer"
    assert "437" not in finished.err.replace("23 * 19", "")


@pytest.mark.parametrize(
    ("flags", "tools"),
    [
        pytest.param((), ["calculator", "current_time"], id="all"),
        pytest.param(("--tool", "calculator"), ["calculator"], id="one"),
        pytest.param(("--tool", "calculator", "--tool", "current_time"), ["calculator", "current_time"], id="two"),
        pytest.param(("--no-tools",), [], id="none"),
    ],
)
async def test_flags_limit_the_tools(
    server_folder: ServerFolder, server_process: ServerProcess, flags: tuple[str, ...], tools: list[str]
) -> None:
    """The prompt has only the tools that the flags allow, and the steps are limited as a flag says."""
    server_folder.upstream.reply(
        json.dumps(
            {"thought": "", "next_action": "continue"} | ({"tool_calls": [], "concurrent": False} if tools else {})
        )
    )
    server_folder.upstream.reply("Done.")

    finished = await server_process.ask("ask", "hi", "--reason", "--max-steps", "1", *flags)

    prompt = server_folder.upstream.requests[-2].body["messages"][0]["content"]
    assert finished.code == 0
    assert re.findall(r"^- (\w+):", prompt.partition("The tools:")[2], re.MULTILINE) == tools
    assert list_aside(finished)[1:3] == [
        "step 1 of 1: continues to think",
        "thought for TIME, 1 step, 0 tool calls: no more steps are allowed",
    ]


async def test_the_models_own_reasoning_is_shown_in_its_step(
    server_folder: ServerFolder, server_process: ServerProcess
) -> None:
    """The model's own reasoning is printed on a separate line before its plan, and before the answer."""
    server_folder.upstream.reply(plan("Ready.", "finish"), reasoning=("Hm", "m."))
    server_folder.upstream.reply("437.", reasoning=("Now ", "I write."))

    finished = await server_process.ask("ask", QUESTION, "--reason", "--show-reasoning")

    assert (finished.code, finished.out) == (0, "437.\n")
    assert list_aside(finished)[1:5] == [
        "Hmm.",
        "step 1 of 8: Ready.",
        "thought for TIME, 1 step, 0 tool calls: ready to answer",
        "Now I write.",
    ]


async def test_a_failure_during_a_run_is_reported(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """When a run fails, the steps before it are shown, and then the failure as on any path."""
    server_folder.upstream.reply(plan("First.", "continue"))
    server_folder.upstream.fail(401)

    finished = await server_process.ask("ask", QUESTION, "--reason")

    assert (finished.code, finished.out) == (1, "")
    assert finished.err.startswith(
        f"{REASONING_ROUTE}\nstep 1 of 8: First.\nreasoning-grpc: UPSTREAM_CREDENTIALS_REJECTED: {REFUSED_KEY}\n"
    )


async def test_limits_of_the_server_are_shown(server_folder: ServerFolder, server_process: ServerProcess) -> None:
    """When the server allows fewer steps than requested, its limit is shown."""
    script_run(server_folder.upstream)

    finished = await server_process.ask("ask", QUESTION, "--reason", "--max-steps", "99")

    assert list_aside(finished)[1:3] == [
        "agent.max_steps: 8 instead of 99 (The server allows no more.)",
        "step 1 of 8: I multiply.",
    ]


async def test_wrong_limits_of_the_agent_are_refused(server_process: ServerProcess) -> None:
    """A wrong limit is reported with its field, and contradicting flags are refused before a call."""
    no_steps, unknown, both_modes, both_tools = await asyncio.gather(
        server_process.ask("ask", "hi", "--reason", "--max-steps", "0"),
        server_process.ask("ask", "hi", "--reason", "--tool", "rocket"),
        server_process.ask("ask", "hi", "--reason", "--mode", "passthrough"),
        server_process.ask("ask", "hi", "--tool", "calculator", "--no-tools"),
    )

    assert (no_steps.code, unknown.code, both_modes.code, both_tools.code) == (1, 1, 2, 2)
    assert no_steps.err.splitlines()[0].endswith(" agent.max_steps: It must be at least 1.")
    assert unknown.err.splitlines()[0].endswith(
        " agent.allowed_tools: There is no such tool, or you may not use it: rocket."
    )
    assert both_modes.err.endswith("argument --mode: not allowed with argument --reason\n")
    assert both_tools.err.endswith("argument --no-tools: not allowed with argument --tool\n")


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        pytest.param(("--tool", "calculator"), "--tool", id="a tool"),
        pytest.param(("--no-tools", "--mode", "passthrough"), "--no-tools", id="no tools"),
        pytest.param(("--max-steps", "2", "--tool", "calculator"), "--tool and --max-steps", id="two flags"),
    ],
)
async def test_flags_of_the_agent_need_the_agent(
    server_process: ServerProcess, flags: tuple[str, ...], named: str
) -> None:
    """A flag of the agent is refused where the agent does not answer, so that none is ignored in silence."""
    finished = await server_process.ask("ask", "hi", *flags)

    assert (finished.code, finished.out) == (2, "")
    assert finished.err == (
        f"reasoning-grpc: {named}: only for --reason, --orchestrate, and the modes reasoning, orchestration and auto\n"
    )
