"""The processes that tests start react to signals, even where the test run ignores them."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.signals import default_signals_in_children

pytestmark = [pytest.mark.process, pytest.mark.serial]

SHOW = "import signal; print(signal.getsignal(signal.SIGINT) is not signal.SIG_IGN)"


@contextmanager
def ignoring(number: signal.Signals) -> Iterator[None]:
    """Ignores a signal for a while, as a test run does that a script has started with `&`."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


async def takes_interrupts() -> bool:
    """Reports whether a new process reacts to SIGINT."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SHOW, stdout=PIPE)
    shown, _ = await process.communicate()
    return shown == b"True\n"


async def test_a_child_reacts_to_a_signal_that_the_test_run_ignores() -> None:
    """A child inherits that SIGINT is ignored, unless it gets help; the test run itself ignores it either way."""
    with ignoring(signal.SIGINT):
        without = await takes_interrupts()
        with default_signals_in_children():
            signal.raise_signal(signal.SIGINT)
            helped = await takes_interrupts()
        restored = signal.getsignal(signal.SIGINT)

    assert (without, helped) == (False, True)
    assert restored is signal.SIG_IGN
