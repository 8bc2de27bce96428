"""`free_every_batch`: lets grpc.aio free what it has given gRPC's core to send, however the call ends."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

_KNOWN_VERSION: Final = "1.85."
"""The versions of grpcio whose `execute_batch` needs nothing else of its loop and its future than `_Batch` has."""
_PARAMETERS: Final = ("grpc_call_wrapper", "operations", "loop")
_ONE_STEP: Final = (None,)

_get_running_loop = asyncio._get_running_loop

logger = logging.getLogger("reasoning_grpc.server")


def free_every_batch(library: Any = cygrpc, version: str = grpc.__version__) -> None:
    """Replaces the function of grpcio by which servers read, write and send statuses, in the whole process.

    grpcio's own `execute_batch` frees the operations of a batch in the line after it has awaited their end. That line
    is not reached when the handler is cancelled there, and not when the batch fails, as batches do whose client has
    left. Each costs some hundred bytes for ever.

    With another grpcio the function stays as it is, and the log warns of it.
    """
    execute: Any = getattr(library, "execute_batch", None)
    if getattr(execute, "__module__", None) == __name__:
        return
    is_known = execute is not None and version.startswith(_KNOWN_VERSION)
    if is_known and tuple(inspect.signature(execute).parameters) == _PARAMETERS:
        library.execute_batch = _free_batches_of(execute, library)
        return
    logger.warning("each call that a client cancels costs some memory", extra={"grpcio": version})


def _free_batches_of(execute: Any, library: Any) -> Callable[[Any, tuple[Any, ...], asyncio.AbstractEventLoop], Any]:
    """Returns what takes the place of `execute_batch`."""
    server_call, waits_for_close = library.RPCState, library.ReceiveCloseOnServerOperation

    def execute_batch(call: Any, operations: tuple[Any, ...], loop: asyncio.AbstractEventLoop) -> Any:
        """Begins a batch, and returns what its caller awaits.

        Calls of clients keep grpcio's own way, and so does the batch that ends with its call: nothing cancels it.
        """
        if type(call) is not server_call or type(operations[0]) is waits_for_close:
            return execute(call, operations, loop)
        batch = _Batch()
        batch.loop = loop
        batch.steps = steps = execute(call, operations, batch).__await__()
        next(steps)
        batch.end = end = loop.create_future()
        return end

    return execute_batch


class _Batch:
    """A batch of operations in progress.

    It takes the place of the loop and of the future of grpcio's coroutine. So it learns from gRPC's core that the batch
    has ended, and lets the coroutine go on to the line that frees the operations. The handler awaits another future,
    which can be cancelled without any effect on the batch.
    """

    __slots__ = ("end", "loop", "steps")

    loop: asyncio.AbstractEventLoop
    steps: Iterator[object]
    """What is left of grpcio's coroutine. It holds this object, until it is over."""
    end: "asyncio.Future[None]"

    def create_future(self) -> "_Batch":
        """Returns the future of grpcio's coroutine, as a loop does."""
        return self

    def __await__(self) -> Iterator[None]:
        """Lets grpcio's coroutine wait until its next step, as a future does."""
        return iter(_ONE_STEP)

    def call_soon_threadsafe(self, end: Callable[[object, object], object], wrapper: object, success: object) -> None:
        """Ends the batch in the thread of the loop, as a loop does. gRPC's thread is there already, as a rule."""
        if _get_running_loop() is self.loop:
            end(wrapper, success)
        else:
            self.loop.call_soon_threadsafe(end, wrapper, success)

    def cancelled(self) -> bool:
        """Returns whether nobody waits for the end, as a future does. The operations have to be freed in any case."""
        return False

    def set_result(self, _result: None) -> None:
        """Frees the operations of the batch, which has succeeded."""
        for _ in self.steps:
            pass
        if not self.end.cancelled():
            self.end.set_result(None)

    def set_exception(self, error: Exception) -> None:
        """Frees the operations of the batch, which has failed."""
        for _ in self.steps:
            pass
        if not self.end.cancelled():
            self.end.set_exception(error)
