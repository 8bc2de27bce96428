"""Ids."""

import subprocess
import sys
from typing import Final

import pytest

from reasoning_grpc.domain import create_id

FORKING: Final = r"""
import os
from reasoning_grpc.domain import create_id

os.write(1, f"{create_id('')}\n".encode())
child = os.fork()
os.write(1, f"{create_id('')}\n".encode())  # in one step, so that the two processes' lines do not mix
if child:
    os.waitpid(child, 0)
"""


def test_ids_differ() -> None:
    """Each id has its prefix and 32 digits, and none comes twice."""
    ids = [create_id("rsp_") for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {(each[:4], len(each)) for each in ids} == {("rsp_", 36)}
    assert set("".join(each[4:] for each in ids)) == set("0123456789abcdef")


@pytest.mark.process
def test_a_forked_process_creates_other_ids() -> None:
    """Workers are forked, and must not go on with the digits of their parent."""
    result = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)

    ids = result.stdout.split()
    assert len(ids) == len(set(ids)) == 3
