"""Runs the command line as `reasoning-grpc` does, and appends the number of its asyncio tasks to a file on a signal."""

import asyncio
import os
import signal
import sys
from typing import Final

from reasoning_grpc.cli import main

TASKS_FILE: Final = "HISTORY_TASKS_FILE"
"""The variable that names the file."""
SIGNAL: Final = signal.SIGRTMIN
"""The signal; the server itself ends on SIGUSR1 and SIGUSR2."""


def count_tasks_on_signal(file: str) -> None:
    """Installs the handler. It runs in the thread of the event loop, between two steps of it."""

    def append_count(*_: object) -> None:
        with open(file, "a", encoding="ascii") as counts:
            counts.write(f"{len(asyncio.all_tasks())}\n")

    signal.signal(SIGNAL, append_count)


if __name__ == "__main__":
    count_tasks_on_signal(os.environ[TASKS_FILE])
    sys.exit(main())
