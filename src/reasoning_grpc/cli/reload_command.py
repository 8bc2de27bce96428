"""Runs the command `reload`: lets a running server read its configuration anew, and says what became of it."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Final, Protocol

from reasoning_grpc.cli.admin_port import AdminPort, AdminPortError
from reasoning_grpc.cli.pid_file import PidFile, PidFileError
from reasoning_grpc.config import inspect_config

_POLL_SECONDS: Final = 0.05


class Server(Protocol):
    """A running server as this command finds it."""

    def find_process(self) -> int:
        """Returns the number of the process that a signal reloads. Raises PidFileError, AdminPortError."""
        ...

    def read_status(self) -> dict[str, Any] | None:
        """Returns what became of the last reload; None when there was none. Raises AdminPortError."""
        ...


def reload(pid_file: Path | None, admin_listen: str | None, config_file: Path | None, timeout_seconds: float) -> int:
    """Sends SIGHUP to the server, and waits for the outcome.

    The server is found by `pid_file`, or by `admin_listen`, or else by what the configuration has of the two. Returns 1
    when the reload changed nothing, or cannot be seen to have changed anything in time.
    """
    server = _find_server(pid_file, admin_listen, config_file)
    if server is None:
        return _fail("give --pid-file or --admin-listen, or a configuration of the server that has one of the two")
    try:
        process = server.find_process()
        before = server.read_status()
        os.kill(process, signal.SIGHUP)
        status = _wait_for_change(server, before, timeout_seconds)
    except (PidFileError, AdminPortError) as exc:
        return _fail(str(exc))
    except PermissionError:
        return _fail(f"process {process} belongs to another user")
    except ProcessLookupError:
        return _fail(f"process {process} has ended")
    if status is None:
        return _fail(f"process {process} has not reloaded within {timeout_seconds:g} s; see its log")
    return _report(status)


def _find_server(pid_file: Path | None, admin_listen: str | None, config_file: Path | None) -> Server | None:
    if pid_file is None and admin_listen is None:
        settings = inspect_config(flags={}, environment=os.environ, file=config_file)[0].settings
        pid_file, admin_listen = settings.pid_file, settings.admin_listen
    if pid_file is not None:
        return PidFile(pid_file)
    return AdminPort(admin_listen) if admin_listen else None


def _wait_for_change(server: Server, before: dict[str, Any] | None, seconds: float) -> dict[str, Any] | None:
    """Returns the status after the next reload; None when there is none in time.

    Raises PidFileError, AdminPortError.
    """
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        status = server.read_status()
        if status is not None and status != before:
            return status
        server.find_process()
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
