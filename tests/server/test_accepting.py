"""The server accepts many calls in one turn of its event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc

from reasoning_grpc.server.accepting import AcceptingServer

_CALLS: Final = 100
_METHOD: Final = "/test.Service/Call"


class TurnCounter:
    """Counts how many calls begin in each turn of the loop."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self._turn_has_ended = True

    def record(self) -> None:
        """Records that a call begins in this turn."""
        if self._turn_has_ended:
            self._turn_has_ended = False
            self.counts.append(0)
            asyncio.get_running_loop().call_soon(self._end_turn)
        self.counts[-1] += 1

    def _end_turn(self) -> None:
        self._turn_has_ended = True


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """Serves one unary method; yields the address."""
    server = AcceptingServer([], [("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {"Call": grpc.unary_unary_rpc_method_handler(handler)}
    server.add_registered_method_handlers("test.Service", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def call_many(target: str, have_been_sent: threading.Event) -> list[bytes]:
    """Sends calls, all at once, from the thread in which it runs; returns their answers."""
    with grpc.insecure_channel(target) as channel:
        grpc.channel_ready_future(channel).result()
        method: Any = channel.unary_unary(_METHOD)
        calls = [method.future(bytes((number,)), timeout=30) for number in range(_CALLS)]
        have_been_sent.set()
        return [call.result() for call in calls]


async def test_calls_that_arrive_together_begin_together() -> None:
    """grpc.aio alone begins one of them in each fifth turn, and seldom two in one."""
    turns = TurnCounter()

    async def answer(request: bytes, _context: object) -> bytes:
        turns.record()
        return request

    async with serving(answer) as target:
        have_been_sent = threading.Event()
        calling = asyncio.create_task(asyncio.to_thread(call_many, target, have_been_sent))
        while not have_been_sent.is_set():  # noqa: ASYNC110 - the thread ends it while this loop may do nothing else
            await asyncio.sleep(0)
        answers = await calling

    assert answers == [bytes((number,)) for number in range(_CALLS)]
    assert max(turns.counts) >= 4


async def test_a_stopped_server_leaves_no_task_behind() -> None:
    """Each call that was accepted ends with the server: otherwise this test would not end."""

    async def wait(_request: bytes, _context: object) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return b""

    begun = asyncio.Event()
    before = asyncio.all_tasks()
    async with serving(wait) as target, grpc.aio.insecure_channel(target) as channel:
        method: Any = channel.unary_unary(_METHOD)
        call = asyncio.ensure_future(method(b"x"))
        await begun.wait()
        call.cancel()

    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left)
