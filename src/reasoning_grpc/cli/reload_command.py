"""Runs the command `reload`: lets a running server read its configuration anew, and says what became of it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.cli.pid_file import PidFile, PidFileError
from reasoning_grpc.config import inspect_config

_POLL_SECONDS: Final = 0.05


def reload(pid_file: Path | None, config_file: Path | None, timeout_seconds: float) -> int:
    """Sends SIGHUP to the server, and waits for the outcome.

    The file with its process number is `pid_file`, or else the one that the configuration names. Returns 1 when the
    reload changed nothing, or cannot be seen to have changed anything in time.
    """
    path = pid_file or inspect_config(flags={}, environment=os.environ, file=config_file)[0].settings.pid_file
    if path is None:
        return _fail("give --pid-file, or set pid_file in the configuration of the server")
    file = PidFile(path)
    try:
        process = file.find_process()
        before = file.read_status()
        os.kill(process, signal.SIGHUP)
        status = _wait_for_change(file, before, timeout_seconds)
    except PidFileError as exc:
        return _fail(str(exc))
    except PermissionError:
        return _fail(f"process {process} belongs to another user")
    except ProcessLookupError:
        return _fail(f"{path}: process {process} has ended")
    if status is None:
        return _fail(f"process {process} has not reloaded within {timeout_seconds:g} s; see its log")
    return _report(status)


def _wait_for_change(file: PidFile, before: dict[str, Any] | None, seconds: float) -> dict[str, Any] | None:
    """Returns the status after the next reload; None when there is none in time. Raises PidFileError."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        status = file.read_status()
        if status is not None and status != before:
            return status
        file.find_process()
        time.sleep(_POLL_SECONDS)
    return None


def _report(status: dict[str, Any]) -> int:
    if problems := status["problems"]:
        for problem in problems:
            _fail(problem)
        return _fail("nothing was changed")
    print(f"reloaded: configuration {status['fingerprint']}")
    if options := status["needs_restart"]:
        print(f"these options need a restart, and keep their values: {', '.join(options)}")
    return 0


def _fail(problem: str) -> int:
    print(f"reasoning-grpc: {problem}", file=sys.stderr)
    return 1
