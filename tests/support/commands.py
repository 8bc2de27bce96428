"""Runs `reasoning-grpc` as a process, as a person does, and returns its output and exit code."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROGRAM: Final = (sys.executable, "-m", "reasoning_grpc.cli")
PATIENCE_SECONDS: Final = 120.0
"""How long a process may take for one thing, such as a start, which imports litellm; only a failing test reaches it."""


@dataclass(frozen=True)
class Finished:
    """The exit code and the outputs of a process that has ended."""

    code: int
    out: str
    err: str


def build_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Returns these variables with those that a process needs to run."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **variables}


def read_announced_address(line: bytes) -> str:
    """Returns the address in the line that a server prints when it serves and its log is JSON."""
    announced = json.loads(line)
    assert announced == {"message": "serving", "address": announced["address"]}
    return str(announced["address"])


@asynccontextmanager
async def running_process(
    *arguments: str,
    variables: Mapping[str, str] | None = None,
    folder: Path | None = None,
    program: Sequence[str] = PROGRAM,
    **streams: Any,
) -> AsyncIterator[Process]:
    """Starts a process of the command, and kills it at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *program, *arguments, env=build_environment(variables or {}), cwd=folder or "/", **streams
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def start_after(command: str) -> Sequence[str]:
    """Returns a `program` of `running_process`: a shell runs a command, which changes its process, and becomes ours.

    A `preexec_fn` would do it in a fork of this process, where gRPC may yet write to the standard error of the new one.
    """
    return ("sh", "-c", f'{command}; exec "$@"', "sh", *PROGRAM)


async def run(
    *arguments: str, typed: str = "", variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> Finished:
    """Runs a command to its end; `typed` is its standard input."""
    async with running_process(
        *arguments, variables=variables, folder=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())
