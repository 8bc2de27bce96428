"""gRPC's events reach the event loop, however many there are in one turn."""

import asyncio
import fcntl
import socket
import termios
from array import array
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.server.accepting import AcceptingServer
from reasoning_grpc.server.wakeups import Wakeup, drain_wakeups

_EVENTS: Final = 200


def count_bytes(reading: socket.socket) -> int:
    """Returns how many bytes wait in the socket."""
    waiting = array("i", [0])
    fcntl.ioctl(reading, termios.FIONREAD, waiting)
    return waiting[0]


@pytest.mark.parametrize("events", [1, 2, _EVENTS])
def test_one_turn_reads_the_wakeups_of_all_events(events: int) -> None:
    """grpc.aio's own handler reads one byte; it must find one, and none may be left behind it."""
    reading, writing = socket.socketpair()
    handled: list[bytes] = []
    with reading, writing:
        reading.setblocking(False)
        writing.sendall(b"1" * events)

        Wakeup(reading.fileno(), lambda: handled.append(reading.recv(1)))()

        assert handled == [b"1"]
        assert count_bytes(reading) == 0


async def test_a_server_reads_the_wakeups_of_grpc_in_this_way() -> None:
    """The handler that grpc.aio has set is replaced, once for each loop."""
    server = AcceptingServer([], [("grpc.so_reuseport", 0)])
    server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        assert drain_wakeups()
        selector: Any = getattr(asyncio.get_running_loop(), "_selector")  # noqa: B009 - mypy knows no such attribute
        readers = [key.data[0] for key in selector.get_map().values()]
        assert [type(reader._callback) for reader in readers].count(Wakeup) == 1
    finally:
        await server.stop(None)


async def test_a_grpcio_without_this_handler_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    """The log then says what an overload will look like."""
    assert not drain_wakeups()

    assert [(record.message, vars(record)["grpcio"]) for record in caplog.records] == [
        ("events of gRPC reach the event loop one at a time", grpc.__version__)
    ]
