"""`launch_child`: starts a child process of the embedded model, and stops it again."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from typing import Final

from reasoning_grpc.embedded import child
from reasoning_grpc.embedded.child import Settings

_STOP_SECONDS: Final = 2.0
"""How long a child that was asked to stop may take before it is killed."""


class EmbeddedStartError(Exception):
    """The embedded model cannot start; the message is a sentence that tells the operator what to change."""


async def launch_child(settings: Settings, timeout_seconds: float) -> tuple[Process, str]:
    """Starts a child, and returns it with the address at which it answers, such as http://127.0.0.1:40123.

    Raises EmbeddedStartError, and then leaves no process behind.
    """
    process = await _start_process(settings)
    address = None
    try:
        async with asyncio.timeout(timeout_seconds):
            address = await _wait_for_address(process, settings)
    except TimeoutError as exc:
        raise EmbeddedStartError(f"The embedded model did not answer within {timeout_seconds:g} seconds.") from exc
    finally:
        if address is None:
            await stop_process(process)
    return process, address


async def stop_process(process: Process) -> None:
    """Ends the process, by force if it does not stop by itself, and waits for its end."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _start_process(settings: Settings) -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            # The child is run as a file, so that the parent's sys.path does not matter; with -P no module in the
            # child's folder or in the working directory can replace one of the standard library.
            *(sys.executable, "-P", child.__file__),
            stdin=PIPE,
            stdout=PIPE,
            stderr=None if settings["verbose"] else DEVNULL,
            # A copy: a thread that sets variables, as one that imports litellm does, moves those of the process.
            env=os.environ.copy(),
            start_new_session=True,  # only the parent answers Ctrl-C in the terminal
        )
    except OSError as exc:
        raise EmbeddedStartError(f"The embedded model's process cannot be started: {exc.strerror}.") from exc


async def _wait_for_address(process: Process, settings: Settings) -> str:
    """Sends the settings to a new child, and waits for the address at which it answers. Raises EmbeddedStartError."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):  # the missing answer below reports a child that died at once
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await process.stdin.drain()
    process.stdin.close()
    line = await process.stdout.readline()
    if not line.endswith(b"\n"):
        exit_code = await process.wait()
        raise EmbeddedStartError(
            f"The embedded model's process ended with exit code {exit_code} at its start; debug logging shows why."
        )
    answer: dict[str, str] = json.loads(line)
    if "address" not in answer:
        raise EmbeddedStartError(f"The embedded model did not start with {settings['weights']}: {answer['problem']}")
    return answer["address"]
