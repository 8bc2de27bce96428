"""`read_process`: the memory, files and CPU time of this process."""

import os
import resource
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from reasoning_grpc.telemetry.metrics import families
from reasoning_grpc.telemetry.metrics.series import SnapshotBuilder

_PROC: Final = Path("/proc/self")


class ProcessReader:
    """Reads what the system knows of this process. What a system without /proc does not say is left out."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def read(self, builder: SnapshotBuilder) -> None:
        """Adds the values of this moment to a snapshot."""
        builder.add(families.UPTIME, time.monotonic() - self._started)
        used = resource.getrusage(resource.RUSAGE_SELF)
        builder.add(families.CPU_TIME, used.ru_utime, "user")
        builder.add(families.CPU_TIME, used.ru_stime, "system")
        builder.add(families.FILE_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        with suppress(FileNotFoundError):
            pages = int((_PROC / "statm").read_text("ascii").split()[1])
            builder.add(families.MEMORY, pages * os.sysconf("SC_PAGE_SIZE"))
            builder.add(families.OPEN_FILES, len(os.listdir(_PROC / "fd")) - 1)  # without that of the listing
