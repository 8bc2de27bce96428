"""What a handler has given gRPC to send is freed when its call is over, however the call ends."""

import asyncio
import ctypes
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.server.accepting import AcceptingServer
from reasoning_grpc.server.batches import free_every_batch

_METHOD: Final = "/test.Service/Stream"
_TEXT: Final = "x" * 4000
_CALLS: Final = 200
_FIELDS: Final = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)

Handler = Callable[[bytes, Any], Awaitable[None]]


class Mallinfo2(ctypes.Structure):
    """What glibc tells of the memory that it has given."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]
    hblkhd: int
    uordblks: int


def measure_memory() -> int:
    """Returns the bytes that malloc has given, and that were not freed."""
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = Mallinfo2
    state: Mallinfo2 = mallinfo2()
    return state.hblkhd + state.uordblks


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Any]:
    """Serves one method, whose answer is a stream, and yields it. All batches are over when this returns."""
    server = AcceptingServer([], [("grpc.so_reuseport", 0)])
    handlers: dict[str, Any] = {"Stream": grpc.unary_stream_rpc_method_handler(handler)}
    server.add_registered_method_handlers("test.Service", handlers)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel.unary_stream(_METHOD)
    finally:
        await server.stop(None)


async def count_kept(handler: Handler) -> float:
    """Returns how many texts the server keeps of each call, which its client cancels after one message."""

    async def make_calls(count: int) -> None:
        ended: asyncio.Queue[None] = asyncio.Queue()

        async def handle(request: bytes, context: Any) -> None:
            try:
                await context.write(b"first")
                await handler(request, context)
            finally:
                ended.put_nowait(None)

        async with serving(handle) as method:
            for _ in range(count):
                call = method(b"x")
                await call.read()
                call.cancel()
                await ended.get()

    await make_calls(_CALLS)
    before = measure_memory()
    await make_calls(_CALLS)
    return (measure_memory() - before) / _CALLS / len(_TEXT)


async def test_a_cancelled_batch_is_freed() -> None:
    """The handler is cancelled while it waits until gRPC has sent something."""

    async def cancel_status(_request: bytes, context: Any) -> None:
        sending = asyncio.ensure_future(context.abort(grpc.StatusCode.ABORTED, _TEXT))
        await asyncio.sleep(0)  # it begins
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()

    assert await count_kept(cancel_status) < 0.3


async def test_a_failed_batch_is_freed() -> None:
    """The handler sends something after its client has left."""

    async def send_late(_request: bytes, context: Any) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        with pytest.raises(grpc.aio.InternalError):
            await context.abort(grpc.StatusCode.ABORTED, _TEXT)

    assert await count_kept(send_late) < 0.3


async def test_a_cancelled_write_goes_on() -> None:
    """The handler goes on at once, and what it has written arrives."""
    message = bytes(2**20)

    async def give_up(_request: bytes, context: Any) -> None:
        await context.write(b"first")
        writing = asyncio.ensure_future(context.write(message))
        await asyncio.sleep(0)  # it begins
        writing.cancel()
        await asyncio.wait([writing])
        assert writing.cancelled()

    async with serving(give_up) as method:
        received = [each async for each in method(b"x")]

    assert received == [b"first", message]


async def _execute_batch(grpc_call_wrapper: Any, operations: tuple[Any, ...], loop: object) -> None:
    """Has the parameters of grpcio's function."""


async def _execute_another_batch(grpc_call_wrapper: Any, operations: tuple[Any, ...], deadline: float) -> None:
    """Has other parameters than grpcio's function."""


@pytest.mark.parametrize(
    ("version", "function"), [("1.86.0", _execute_batch), ("2.0.0", _execute_batch), ("1.85.2", _execute_another_batch)]
)
def test_an_unknown_grpcio_keeps_its_function(
    version: str, function: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    """The log warns that calls which clients cancel cost memory."""
    library = SimpleNamespace(execute_batch=function, RPCState=int, ReceiveCloseOnServerOperation=int)

    free_every_batch(library, version)

    assert library.execute_batch is function
    (record,) = caplog.records
    assert vars(record)["grpcio"] == version


def test_a_known_grpcio_is_changed_once(caplog: pytest.LogCaptureFixture) -> None:
    """A process may start several servers, one after another."""
    library = SimpleNamespace(execute_batch=_execute_batch, RPCState=int, ReceiveCloseOnServerOperation=int)

    free_every_batch(library, "1.85.7")
    replaced = library.execute_batch
    free_every_batch(library, "1.85.7")

    assert library.execute_batch is replaced is not _execute_batch
    assert caplog.records == []
