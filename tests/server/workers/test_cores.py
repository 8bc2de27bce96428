"""`workers = "auto"` counts the cores that the system lets the process use."""

import os
from pathlib import Path

import pytest

from reasoning_grpc.server.workers.cores import count_cores

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        pytest.param("max 100000\n", CORES, id="no quota"),
        pytest.param("100000 100000\n", 1, id="one core"),
        pytest.param("50000 100000\n", 1, id="half a core"),
        pytest.param("150000 100000\n", min(2, CORES), id="one and a half"),
        pytest.param("99900000 100000\n", CORES, id="more than the cores"),
        pytest.param("", CORES, id="an empty file"),
        pytest.param("100000 0", CORES, id="no period"),
    ],
)
def test_the_quota_of_a_container_bounds_the_cores(tmp_path: Path, quota: str, expected: int) -> None:
    """A container that may use the time of fewer cores than the machine has counts as one with so many, rounded up."""
    file = tmp_path / "cpu.max"
    file.write_text(quota)

    assert count_cores(file) == expected


def test_without_control_groups_all_cores_count(tmp_path: Path) -> None:
    """On a system without the file of the quota, all cores that the process may run on count."""
    assert count_cores(tmp_path / "none") == CORES
