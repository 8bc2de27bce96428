"""Ends and reloads commands by signals: a signal that the process was started to ignore stays ignored."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, Final

_ENDS_CLIENT: Final = (signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command of the client's side, besides SIGINT, which `asyncio.run` handles."""


_ENDS_SERVER: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""The signals that end the server, besides SIGTERM, which ends it even if the process was started to ignore it.

SIGHUP reloads it, unless its terminal has closed.
"""


_FROM_TERMINAL: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""The signals that a terminal sends: its user waits for the end."""


def list_server_signals() -> list[signal.Signals]:
    """Returns the signals that end the server; those that the process was started to ignore are left out."""
    return [signal.SIGTERM, *(number for number in _ENDS_SERVER if not is_ignored(number))]


def is_from_terminal(number: signal.Signals) -> bool:
    """Whether a person at a terminal sends this signal, and no orchestrator, whose load balancers need time."""
    return number in _FROM_TERMINAL


def has_terminal() -> bool:
    """Whether the process has a terminal, whose user can see it and end it. The end of a terminal takes it away."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def is_ignored(number: signal.Signals) -> bool:
    """Whether the process ignores the signal, as it does when a script starts it with `&`, or `nohup` does."""
    return signal.getsignal(number) is signal.SIG_IGN


def run_until_signal(command: Coroutine[Any, Any, int]) -> int:
    """Runs a command to its end, and returns its exit code.

    SIGTERM and SIGHUP cancel it, so that it cancels its call and restores the terminal; the exit code is then that of
    a process which the signal has ended, as shells count it: 143 and 129.
    """
    return asyncio.run(_run_until_signal(command))


async def _run_until_signal(command: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(command)
    received: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        received.append(number)
        running.cancel()

    for number in _ENDS_CLIENT:
        if not is_ignored(number):
            loop.add_signal_handler(number, cancel, number)
    try:
        return await running
    except asyncio.CancelledError:
        if received and running.cancelled():
            return 128 + received[0]
        raise
