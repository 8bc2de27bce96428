"""`drain_wakeups`: lets gRPC's events reach the event loop however many there are."""

import asyncio
import fcntl
import logging
import os
import termios
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import grpc

_HANDLER: Final = "PollerCompletionQueue._handle_events"
"""What grpc.aio lets the event loop call when its thread has events. It is private: another version may have none."""

logger = logging.getLogger("reasoning_grpc.server")


def drain_wakeups() -> bool:
    """Lets the running event loop read all bytes of a wake-up at once; returns whether grpc.aio's is as expected.

    The thread of grpc.aio that waits for events writes a byte into a socket for each of them. In each turn the event
    loop reads one byte of it, and handles all events that there are. So where a turn has more than one event, bytes are
    left. Each of them costs a turn in which there is nothing to do. When some 278 are left, the socket is full: the
    thread waits, and brings one event in each turn from then on. Calls then wait in gRPC's core, where nothing of ours
    sees them (grpcio 1.85.1, `_cython/_cygrpc/aio/completion_queue.pyx.pxi`, `_poll` and `_handle_events`).

    With a grpcio that has other functions nothing is changed, and the log warns of it. `grpc.aio` must have been used
    in this loop before.
    """
    loop = asyncio.get_running_loop()
    selector: Any = getattr(loop, "_selector", None)
    for key in () if selector is None else list(selector.get_map().values()):
        reader, _ = key.data
        handle_events = getattr(reader, "_callback", None)
        if isinstance(handle_events, Wakeup):
            return True
        if isinstance(handle_events, partial) and getattr(handle_events.func, "__qualname__", "") == _HANDLER:
            loop.add_reader(key.fd, Wakeup(key.fd, handle_events))
            return True
    logger.warning("events of gRPC reach the event loop one at a time", extra={"grpcio": grpc.__version__})
    return False


class Wakeup:
    """Reads all bytes but one from the socket, and lets grpc.aio read this one and handle its events."""

    def __init__(self, socket_fd: int, handle_events: Callable[[], None]) -> None:
        self._fd = socket_fd
        self._handle_events = handle_events
        self._waiting = array("i", [0])

    def __call__(self) -> None:
        """Handles the events. Each byte that is read here belongs to an event that was there before it."""
        fcntl.ioctl(self._fd, termios.FIONREAD, self._waiting)
        if self._waiting[0] > 1:
            os.read(self._fd, self._waiting[0] - 1)
        self._handle_events()
