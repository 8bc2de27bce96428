"""`make examples`: runs each program of examples/ and checks its exit code and what it prints.

Most run against a server on the embedded model. Where the model must call a tool, which the embedded model does not do,
or not reliably, the server has a model whose answers are scripted.
"""

import asyncio
import json
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from scripts.pages import ROOT
from scripts.server_process import run_server
from tests.support.upstream import FakeToolCall, FakeUpstream

CONFIGURATION: Final = ROOT / "examples" / "agent_with_mcp.toml"
_LONGEST_SECONDS: Final = 300
_PATIENTLY: Final = ("--agent-tool-list-timeout-seconds", str(_LONGEST_SECONDS))
"""The agent waits for its MCP server as long as a busy machine takes to start it."""


@dataclass(frozen=True, slots=True)
class Example:
    """A program, and the patterns that must be found in its output, in this order."""

    program: str
    patterns: tuple[str, ...]


ON_THE_EMBEDDED_MODEL: Final = (
    Example("stream.py", (r"^route: passthrough with smollm2", r"^finish reason: (STOP|LENGTH), \d+ tokens$")),
    Example("structured_output.py", (r"^Rating\(mood='(good|mixed|bad)', stars=[1-5]\)$",)),
    Example(
        "handle_errors.py",
        (
            r"^NOT_FOUND MODEL_NOT_FOUND: name another model, such as smollm2-135m-instruct$",
            r"^INVALID_ARGUMENT INVALID_FIELD: fix sampling\.temperature$",
            r"^DEADLINE_EXCEEDED : allow more time$",
        ),
    ),
    Example("cancel.py", (r"^left after \d\d characters$", r"^the task ended with CancelledError$")),
    Example("agent_with_mcp.py", (r"^step 1 ended: ", r"^stopped thinking: [A-Z_]+$", r"^answer: \S")),
)
ON_A_SCRIPTED_MODEL: Final = (
    Example(
        "own_tools.py",
        (r'^tool: get_temperature {"city": "Oslo"} -> 4 degrees Celsius$', r"^answer: It is 4 degrees in Oslo\.$"),
    ),
    Example(
        "agent_with_mcp.py",
        (
            r"^step 1: The stock is needed\.$",
            r'^tool: stock__count_fruit {"fruit": ?"plums"} -> 40 plums in stock$',
            r"^step 2: 40 plums are in stock\.$",
            r"^stopped thinking: FINISHED$",
            r"^answer: There are 40 plums\.$",
        ),
    ),
)


def script_answers(upstream: FakeUpstream) -> None:
    """Has the upstream answer what the examples on the scripted model need, in their order."""
    upstream.reply(
        tool_calls=[FakeToolCall("call_1", "get_temperature", '{"city": "Oslo"}')], finish_reason="tool_calls"
    )
    upstream.reply("It is 4 degrees", " in Oslo.")
    count = {"name": "stock__count_fruit", "arguments": json.dumps({"fruit": "plums"})}
    for thought, next_action, calls in (
        ("The stock is needed.", "use_tools", [count]),
        ("40 plums are in stock.", "finish", []),
    ):
        plan = {"thought": thought, "next_action": next_action, "tool_calls": calls, "concurrent": False}
        upstream.reply(json.dumps(plan))
    upstream.reply("There are", " 40 plums.")


def find_missing(patterns: Sequence[str], output: str) -> str | None:
    """Returns the first pattern that is not found in the output after those before it; None when all are found."""
    position = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(output, position)
        if found is None:
            return pattern
        position = found.end()
    return None


async def run(example: Example, address: str) -> bool:
    """Runs a program against a server, prints the outcome, and returns whether it did what it must."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        f"examples/{example.program}",
        cwd=ROOT,
        env={**os.environ, "REASONING_TARGET": address},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            output = (await process.communicate())[0].decode()
    except TimeoutError:
        process.kill()
        await process.wait()
        print(f"FAIL  {example.program}: it did not end within {_LONGEST_SECONDS} s", flush=True)
        return False
    missing = find_missing(example.patterns, output)
    if process.returncode or missing:
        print(f"FAIL  {example.program}: exit code {process.returncode}, missing: {missing}; it printed:\n{output}")
        return False
    print(f"ok    {example.program}", flush=True)
    return True


async def run_all() -> bool:
    """Runs every example, and returns whether all did what they must."""
    with run_server("--config", str(CONFIGURATION), *_PATIENTLY) as address:
        outcomes = [await run(example, address) for example in ON_THE_EMBEDDED_MODEL]
    async with FakeUpstream() as upstream:
        script_answers(upstream)
        with TemporaryDirectory() as folder:
            file = Path(folder) / "reasoning.toml"
            file.write_text(configure(upstream.api_base), "utf-8")
            with run_server("--config", str(file), *_PATIENTLY) as address:
                outcomes += [await run(example, address) for example in ON_A_SCRIPTED_MODEL]
    return all(outcomes)


def configure(api_base: str) -> str:
    """Returns the configuration of the examples with a model that is reached at this address."""
    model = f"""
[models.scripted]
litellm_model = "openai/scripted"
api_base = "{api_base}"
capabilities = ["tools", "json_schema"]
"""
    return CONFIGURATION.read_text("utf-8") + model


def main() -> int:
    """Runs the examples; returns 1 when one of them fails."""
    return int(not asyncio.run(run_all()))


if __name__ == "__main__":
    sys.exit(main())
