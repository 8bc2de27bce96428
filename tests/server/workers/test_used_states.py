"""The states that have gone on are known to all processes that were forked with the same `SharedUsedStates`."""

import subprocess
import sys
from copy import deepcopy

import pytest

from reasoning_grpc.server.workers.used_states import SharedUsedStates

RACE = """
import asyncio
import os

from reasoning_grpc.server.workers.used_states import SharedUsedStates

PROCESSES, STATES = 4, 2000
states = SharedUsedStates(lambda: 1000.0)


async def use_all():
    won = 0
    for number in range(STATES):
        won += await states.use(str(number), 60)
        for expired in "abc":  # so that the file is rewritten now and then
            await states.use(f"{expired} {number} {os.getpid()}", 0)
    return won


children = []
for _ in range(PROCESSES):
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, str(asyncio.run(use_all())).encode())
        os._exit(0)
    os.close(theirs)
    children.append(ours)
print(sum(int(os.fdopen(end).read()) for end in children))
for _ in children:
    assert os.wait()[1] == 0
"""
"""Prints how often one of 2000 states went on, in four processes that all try each of them."""


async def test_another_process_knows_what_has_gone_on() -> None:
    """A use and a release count in each process, whichever of them made it."""
    first = SharedUsedStates()
    second = deepcopy(first)  # what a fork has: the same file, and a memory of its own

    assert await first.use("a", 60)
    assert not await second.use("a", 60)
    assert await second.use("b", 60)
    assert not await first.use("b", 60)
    second.release("a")
    assert await first.use("a", 60)
    assert not await second.use("a", 60)


async def test_expired_states_are_forgotten() -> None:
    """A state may go on again after its time, and the file does not grow with what has expired."""
    now = [1000.0]
    first = SharedUsedStates(lambda: now[0])
    second = deepcopy(first)
    for number in range(10_000):
        now[0] += 1
        assert await (first, second)[number % 2].use(str(number), 100)

    assert first.measure() < 3000 * 24
    assert not await first.use("9999", 100)
    assert not await second.use("9950", 100)
    assert await second.use("5000", 100)


@pytest.mark.process
def test_processes_that_race_let_each_state_go_on_once() -> None:
    """Processes at the same file, which they rewrite meanwhile, agree on who was the first."""
    printed = subprocess.run([sys.executable, "-c", RACE], check=True, capture_output=True, text=True, timeout=300)

    assert printed.stdout == "2000\n"
