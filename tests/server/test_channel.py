"""Messages between the processes of a server arrive whole and in order, and never block the sender."""

import socket
from typing import Final

from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.reports import SupervisorReport, WorkerReport, WorkerState

KINDS: Final = WorkerReport | SupervisorReport
LARGE: Final = 1024 * 1024


async def open_pair() -> tuple[Channel, Channel]:
    """Returns both ends of a channel."""
    one, other = socket.socketpair()
    return await Channel.open(one, KINDS), await Channel.open(other, KINDS)


async def test_messages_arrive_in_order() -> None:
    """Messages of different kinds and of any size arrive as they were sent, until the other end is closed."""
    one, other = await open_pair()
    messages = other.messages()
    sent = [
        SupervisorReport(workers=2, restarts=0),
        WorkerReport(1, 10, WorkerState.SERVING, address="a" * LARGE),
        SupervisorReport(workers=2, restarts=1),
    ]

    assert all(one.send(message) for message in sent)
    received = [await anext(messages) for _ in sent]
    await one.aclose()
    rest = [message async for message in messages]
    await other.aclose()

    assert (received, rest) == (sent, [])


async def test_a_process_that_does_not_read_gets_no_more() -> None:
    """Messages for a process that does not read are dropped at some megabytes, instead of filling the memory."""
    one, other = await open_pair()
    large = WorkerReport(1, 10, WorkerState.SERVING, address="a" * LARGE)

    sent = [one.send(large) for _ in range(100)]
    await one.aclose()
    await other.aclose()

    assert sent.count(True) < 20
    assert not sent[-1]


async def test_a_closed_channel_drops_messages() -> None:
    """A message to a process that has ended is dropped."""
    one, other = await open_pair()
    await one.aclose()

    assert not one.send(SupervisorReport(workers=1, restarts=0))
    await other.aclose()
