"""`Sampler`: reads what a server process holds: memory, descriptors, threads and asyncio tasks, and its CPU time."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.history.host import SIGNAL, TASKS_FILE
from tests.history.rounds import Rounds, serving_rounds
from tests.support.upstream import PATIENCE_SECONDS

ROOT: Final = Path(__file__).parent.parent.parent
_LOOK_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process held at one moment."""

    hours: float
    """The time since the sampler began."""
    memory_mb: float
    """The resident memory."""
    descriptors: int
    threads: int
    tasks: int
    cpu_seconds: float = 0.0
    """The CPU time since the process began."""


class Sampler:
    """Samples one process, which `tests.history.host` runs and which counts its tasks into this file."""

    def __init__(self, pid: int, tasks_file: Path) -> None:
        self._pid = pid
        self._tasks_file = tasks_file
        self._began = time.monotonic()

    async def sample(self) -> Sample:
        """Returns what the process holds now."""
        tasks = await self._count_tasks()
        process = Path("/proc") / str(self._pid)
        pages = int((process / "statm").read_text().split()[1])
        return Sample(
            hours=(time.monotonic() - self._began) / 3600,
            memory_mb=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            descriptors=len(os.listdir(process / "fd")),
            threads=len(os.listdir(process / "task")),
            tasks=tasks,
            cpu_seconds=sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:13]))
            / os.sysconf("SC_CLK_TCK"),
        )

    async def _count_tasks(self) -> int:
        before = self._read_counts()
        os.kill(self._pid, SIGNAL)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(counts := self._read_counts()) == len(before):  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(_LOOK_SECONDS)
        self._tasks_file.write_text("")
        return int(counts[-1])

    def _read_counts(self) -> list[str]:
        text = self._tasks_file.read_text("ascii") if self._tasks_file.exists() else ""
        return text[: text.rfind("\n") + 1].split()


@asynccontextmanager
async def serving_sampled_rounds(folder: Path, **options: Any) -> AsyncIterator[tuple[Rounds, Sampler]]:
    """Yields what `serving_rounds` yields, and a sampler of its server process."""
    tasks_file = folder / "tasks"
    variables = {"PYTHONPATH": str(ROOT), TASKS_FILE: str(tasks_file)}
    program = (sys.executable, "-m", "tests.history.host")
    async with serving_rounds(folder, variables, program=program, **options) as rounds:
        yield rounds, Sampler(rounds.server.process.pid, tasks_file)
