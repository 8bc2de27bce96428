"""`ServerSignals`: the signals that a server has received, and what follows from them."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from reasoning_grpc.cli.signals import has_terminal, is_from_terminal, is_ignored, list_server_signals
from reasoning_grpc.config import Settings
from reasoning_grpc.server import Reloader

logger = logging.getLogger("reasoning_grpc.server")


class ServerSignals:
    """The signals that the server has received."""

    def __init__(self, on_second: Callable[[], None] = lambda: None) -> None:
        """`on_second` is called before a second signal ends this process."""
        loop = asyncio.get_running_loop()
        self._on_second = on_second
        self.stop: asyncio.Future[signal.Signals] = loop.create_future()
        """The first signal that ends the server."""
        self.reload_due = asyncio.Event()
        self._has_terminal = has_terminal()
        for number in list_server_signals():
            loop.add_signal_handler(number, self._end, number)
        if not is_ignored(signal.SIGHUP):
            loop.add_signal_handler(signal.SIGHUP, self._hang_up)

    def _end(self, number: signal.Signals) -> None:
        logger.info("signal", extra={"signal": number.name})
        if self.stop.done():
            code = 128 + number
            logger.info("exit", extra={"code": code})
            self._on_second()
            os._exit(code)  # a second signal; the child processes notice the end by themselves
        self.stop.set_result(number)

    def _hang_up(self) -> None:
        if self._has_terminal and not has_terminal():  # it has closed, and nobody sees this process any more
            self._end(signal.SIGHUP)
            return
        logger.info("signal", extra={"signal": signal.SIGHUP.name})
        self.reload_due.set()


async def reload_when_due(due: asyncio.Event, serving: asyncio.Event, reloader: Reloader) -> None:
    """Reloads when it is due and the server serves; however often it was due meanwhile, one more reload follows."""
    await serving.wait()
    while True:
        await due.wait()
        due.clear()
        await reloader.reload()


def choose_delay(settings: Settings, number: signal.Signals) -> float:
    """Returns how long calls are still accepted after a signal."""
    return 0.0 if is_from_terminal(number) else settings.drain_delay_seconds
