"""`reasoning-grpc` as a person runs it: a process, its output, its exit code."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PROGRAM: Final = (sys.executable, "-m", "reasoning_grpc.cli")
PATIENCE_SECONDS: Final = 60.0
"""How long a process may take for what it must do; a start imports litellm. Reached only by a test that fails."""


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    out: str
    err: str


def environment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """An environment of these variables, and what a process needs to run."""
    return {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **variables}


@asynccontextmanager
async def process_of(
    *arguments: str, variables: Mapping[str, str] | None = None, folder: Path | None = None, **streams: Any
) -> AsyncIterator[Process]:
    """A running process; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *arguments, env=environment_of(variables or {}), cwd=folder or "/", **streams
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run(
    *arguments: str, typed: str = "", variables: Mapping[str, str] | None = None, folder: Path | None = None
) -> Finished:
    """Runs a command to its end."""
    async with process_of(
        *arguments, variables=variables, folder=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE
    ) as process:
        async with asyncio.timeout(PATIENCE_SECONDS):
            out, err = await process.communicate(typed.encode())
        assert process.returncode is not None
        return Finished(process.returncode, out.decode(), err.decode())
