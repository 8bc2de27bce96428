"""`Process`: a started process, with the CPU time and the memory of it and all its children."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS: Final = 10.0


class Process:
    """A process in a group of its own. Its output goes to a file."""

    def __init__(self, command: Sequence[str], log: Path, *, environment: Mapping[str, str] | None = None) -> None:
        """Starts the command. `environment` is added to the one of this process."""
        self.start_time = time.monotonic()
        self.log: Final = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._popen.pid

    def read_cpu_seconds(self) -> float:
        """Returns the CPU time so far: user and system, of the process and of its children that run."""
        return sum(_read_cpu_seconds(Path(f"/proc/{pid}/stat")) for pid in self._list_pids())

    def read_main_thread_cpu_seconds(self) -> float:
        """Returns the CPU time so far of the first thread of the process."""
        return _read_cpu_seconds(Path(f"/proc/{self.pid}/task/{self.pid}/stat"))

    def read_memory_bytes(self) -> int:
        """Returns the memory of the process and its children. What they share counts once."""
        return sum(map(_read_memory_bytes, self._list_pids()))

    def pin(self, cores: Sequence[int]) -> None:
        """Lets the process run on these cores only."""
        pin(self.pid, cores)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone."""
        self._popen.send_signal(number)

    def wait(self) -> int:
        """Waits for the end of the process, and returns its exit code."""
        return self._popen.wait()

    def stop(self) -> None:
        """Ends the process and its children, and waits for them."""
        if self.is_running:
            os.killpg(self._popen.pid, signal.SIGTERM)
            try:
                self._popen.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def _list_pids(self) -> list[int]:
        found, pending = [], [self._popen.pid]
        while pending:
            pid = pending.pop()
            found.append(pid)
            pending += _list_children(pid)
        return found


def pin(pid: int, cores: Sequence[int]) -> None:
    """Lets all threads of a process run on these cores only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def _list_children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:  # it has ended meanwhile
        return []


def _read_cpu_seconds(file: Path) -> float:
    try:
        fields = file.read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND  # utime and stime


def _read_memory_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
