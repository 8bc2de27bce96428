"""Builds and starts the mock upstream."""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.process import Process

_SOURCE: Final = Path(__file__).with_name("mock.c")
_START_SECONDS: Final = 5.0


def build_mock(folder: Path) -> Path:
    """Compiles the mock with the system's C compiler, and returns the program."""
    program = folder / "mock"
    if not program.exists() or program.stat().st_mtime < _SOURCE.stat().st_mtime:
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, _SOURCE], check=True)
    return program


def start_mock(program: Path, folder: Path, *, name: str = "mock", prefix: Sequence[str] = ()) -> tuple[Process, int]:
    """Starts the mock on a free port, and returns the process and the port.

    `name` is that of its log; `prefix` is the command that runs it, such as in a namespace of its own.
    """
    log = folder / f"{name}.log"
    process = Process([*prefix, str(program), "0"], log)
    give_up = time.monotonic() + _START_SECONDS
    while not (line := log.read_text().strip()):
        if time.monotonic() > give_up or not process.is_running:
            raise RuntimeError("the mock upstream does not start")
        time.sleep(0.01)
    return process, int(line)
