"""Containers of an image as a cautious operator runs them: without root's rights, and with a disk that is read-only.

No container engine is needed: `unshare` gives the process namespaces of its own, in which it is process 1, and `chroot`
gives it the files of the image. It shares the network of the machine. This needs root.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.image_storage import Image
from tests.support.commands import PATIENCE_SECONDS, read_announced_address
from tests.support.server_process import wait_for_end

_START: Final = """
set -eu
root=$1 user=$2 from=$3 to=$4
shift 4
mount --bind "$root" "$root"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mkdir -p "$root$to"
mount --bind "$from" "$root$to"
mount -o remount,bind,ro "$root$to"
mount -o remount,bind,ro "$root"
exec chroot --groups= --userspec="$user" "$root" "$@"
"""
"""Mounts a folder of the machine, makes everything read-only, gives up root's rights, and becomes the command."""
FOLDER: Final = "/etc/reasoning-grpc"
"""Where a container has the folder with its files."""


@dataclass(frozen=True)
class Container:
    """A container whose process 1 runs."""

    outer: Process
    """The process that waits for process 1, and ends with its exit code."""

    def find_first(self) -> int:
        """Returns the number that its process 1 has outside. Raises LookupError when it does not run."""
        for child in _list_children(self.outer.pid):
            return child
        raise LookupError("the container has no process")

    def send_signal(self, number: int) -> None:
        """Sends a signal to its process 1, as a container engine does."""
        os.kill(self.find_first(), number)

    async def read_address(self) -> str:
        """Waits until its server serves, and returns the address."""
        assert self.outer.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self.outer.stdout.readline()
        assert line, (await self.read_errors(), await wait_for_end(self.outer))
        return read_announced_address(line)

    async def read_errors(self) -> str:
        """Returns what its processes still write to standard error, up to their end."""
        assert self.outer.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.outer.stderr.read()).decode()

    def measure_memory(self) -> int:
        """Returns the memory of all its processes in bytes; what several share counts once (PSS)."""
        total = 0
        for process in _list_descendants(self.find_first()):
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += 1024 * sum(int(size) for size in re.findall(r"^Pss: +(\d+) kB", rollup, re.MULTILINE))
        return total


@asynccontextmanager
async def running_container(
    image: Image, folder: Path, *arguments: str, variables: Mapping[str, str] | None = None
) -> AsyncIterator[Container]:
    """Starts a container, yields it, and kills it at the end if it still runs.

    `arguments` replace the image's own command after its entry point. `folder` is what the container sees as FOLDER.
    """
    command: Sequence[str] = [*image.config["Entrypoint"], *(arguments or image.config["Cmd"])]
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/unshare", "--mount", "--pid", "--ipc", "--uts", "--fork"),
        *("/bin/sh", "-c", _START, "sh", str(image.root), image.config["User"], str(folder), FOLDER),
        *command,
        env={**image.environment, "PATH": f"{image.environment['PATH']}:/usr/sbin:/sbin", **(variables or {})},
        cwd="/",
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        limit=2**20,
    )
    try:
        yield Container(process)
    finally:
        if process.returncode is None:
            # Its death takes all others along. That of the outer process would not: who changes the user outlives it.
            for child in _list_children(process.pid):
                os.kill(child, signal.SIGKILL)
            process.kill()
        await process.wait()


def _list_children(process: int) -> Iterator[int]:
    """Yields the children of a process."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        yield from map(int, (thread / "children").read_text().split())


def _list_descendants(process: int) -> Iterator[int]:
    """Yields a process, and all that it has started."""
    yield process
    for child in _list_children(process):
        yield from _list_descendants(child)
