"""`count_workers`: how many workers a server has, which may depend on the cores that this process may use."""

import math
import os
from pathlib import Path
from typing import Final

from reasoning_grpc.config import AUTO_WORKERS, Settings

_CGROUP_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")


def count_workers(settings: Settings) -> int:
    """Returns the number of workers of a server; with 1 it has none, and its only process serves."""
    return count_cores() if settings.workers == AUTO_WORKERS else settings.workers


def count_cores(quota: Path = _CGROUP_QUOTA) -> int:
    """Returns the number of cores that the system lets this process use, at least 1.

    `quota` is the file with the limit of a container, which may give it less time than its cores have.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _read_quota(quota, cores)))


def _read_quota(quota: Path, cores: int) -> int:
    """Returns the cores whose time the quota allows, rounded up; all of them where there is no quota."""
    try:
        allowed, _, period = quota.read_text().strip().partition(" ")
        return cores if allowed == "max" else math.ceil(int(allowed) / int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return cores
