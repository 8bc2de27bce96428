"""A signal ends a command that Python still imports, also where Linux drops signals without a handler: in process 1."""

import asyncio
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.support.commands import PROGRAM, running_process, start_after
from tests.support.server_process import wait_for_end

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process, pytest.mark.serial]

HELD_MODULE: Final = "tomllib"
"""A module that every command imports before its flags are read."""


@asynccontextmanager
async def importing(folder: Path, *arguments: str, program: Sequence[str] = PROGRAM) -> AsyncIterator[Process]:
    """Starts a command, and yields its process while it imports the held module, which never ends."""
    gate = folder / "gate"
    os.mkfifo(gate)
    (folder / f"{HELD_MODULE}.py").write_text(f"open({str(gate)!r}).read()\n")
    variables = {"PYTHONPATH": str(folder)}
    async with running_process(
        *arguments, variables=variables, program=program, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    ) as process:
        with await asyncio.to_thread(gate.open, "w"):  # it opens when the import opens the other end
            yield process


async def expect_end(process: Process, code: int) -> None:
    """Waits for the end of a process, which must have this exit code and print nothing."""
    assert await wait_for_end(process) == code
    assert process.stdout is not None
    assert process.stderr is not None
    assert (await process.stdout.read(), await process.stderr.read()) == (b"", b"")


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2], ids=str
)
async def test_a_signal_ends_a_server_during_its_imports(tmp_path: Path, number: signal.Signals) -> None:
    """A server that has not read its flags yet exits with 0 after a signal that drains servers, and prints nothing."""
    async with importing(tmp_path, "serve") as process:
        process.send_signal(number)

        await expect_end(process, 0)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
async def test_a_signal_ends_another_command_during_its_imports(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """`ask` that has not read its flags yet exits with the code of the signal, and prints nothing."""
    async with importing(tmp_path, "ask", "hi") as process:
        process.send_signal(number)

        await expect_end(process, code)


async def test_sigterm_ends_a_server_that_was_started_to_ignore_signals(tmp_path: Path) -> None:
    """Signals that a server was started to ignore stay ignored during its imports, and SIGTERM ends it."""
    program = start_after("trap '' TERM INT QUIT USR1 USR2")
    async with importing(tmp_path, "serve", program=program) as process:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            process.send_signal(number)
        assert list_caught(process.pid).isdisjoint({signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})

        process.send_signal(signal.SIGTERM)

        await expect_end(process, 0)


def list_caught(process_id: int) -> set[signal.Signals]:
    """Returns the signals for which a process has a handler, as the system says."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    caught = int(dict(line.split(":\t", 1) for line in lines)["SigCgt"], 16)
    return {number for number in signal.Signals if caught >> (number - 1) & 1}
