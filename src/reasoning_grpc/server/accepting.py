"""`AcceptingServer`: a grpc.aio server that accepts many calls in each turn of its event loop."""

import asyncio
import inspect
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Final

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from reasoning_grpc.server.batches import free_every_batch
from reasoning_grpc.server.lost_answers import expect_lost_answers
from reasoning_grpc.server.wakeups import drain_wakeups

_CALLS_AT_ONCE: Final = 128
"""The calls of a method for which gRPC's core is asked at once. Half of them can be accepted in a turn of the loop."""
_SIGNATURES: Final = {
    "_handle_rpc": ("method_name", "method_resolver", "interceptors", "rpc_state", "loop", "concurrency_exceeded"),
    "_schedule_rpc_coro": ("rpc_coro", "rpc_state", "loop", "method_name"),
}
"""How the functions of grpcio are called here. They are private, so another version may have others."""

Handler = Any
"""A grpc.RpcMethodHandler. It is Any because grpc's type stubs know only the synchronous form."""
Steps = Coroutine[Any, Any, Any]
Refuse = Callable[[str, Callable[[], Any]], Steps | None]
"""Decides on the call of a method whose context it may create: see `AcceptingServer`."""

logger = logging.getLogger("reasoning_grpc.server")


class AcceptingServer(grpc.aio.Server):
    """A grpc.aio server that accepts many calls in each turn of its event loop.

    grpc.aio itself asks its core for one call of a method at a time, and needs five turns of the loop until it asks for
    the next. In an overload, when turns take five milliseconds, that is forty calls a second: all others would wait
    where nothing of ours sees them, until their deadlines are over.

    With a grpcio whose functions are other ones, calls are accepted one at a time, and the log warns of it.
    """

    def __init__(
        self,
        interceptors: Sequence[grpc.aio.ServerInterceptor],
        options: Sequence[tuple[str, str | int]],
        refuse: Refuse | None = None,
    ) -> None:
        """`refuse` is asked first about each call: it returns what ends the call, or None for one to be served."""
        self._refuse = refuse
        self._inner: Any = grpc.aio.server(interceptors=interceptors, options=options)
        self._interceptors = tuple(interceptors)
        self._handlers: dict[str, Handler] = {}
        self._running: set[Steps] = set()
        """The coroutines of grpcio that are in progress. gRPC's core writes into what they hold."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        """See grpc."""
        self._inner.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        """See grpc."""
        self._inner.add_registered_method_handlers(service_name, method_handlers)
        self._handlers.update({f"/{service_name}/{name}": handler for name, handler in method_handlers.items()})

    def add_insecure_port(self, address: str) -> int:
        """See grpc."""
        port: int = self._inner.add_insecure_port(address)
        return port

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """See grpc."""
        port: int = self._inner.add_secure_port(address, server_credentials)
        return port

    async def start(self) -> None:
        """See grpc."""
        free_every_batch()
        expect_lost_answers()
        await self._inner.start()
        drain_wakeups()
        if not _has_expected_functions():
            logger.warning("calls are accepted one at a time", extra={"grpcio": grpc.__version__})
            return
        for method in self._handlers:
            for _ in range(_CALLS_AT_ONCE):
                self._request_call(method)

    async def stop(self, grace: float | None) -> None:
        """See grpc."""
        await self._inner.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - grpc's own name
        """See grpc."""
        has_ended: bool = await self._inner.wait_for_termination(timeout)
        return has_ended

    def resolve_handler(self, details: grpc.HandlerCallDetails) -> Handler:
        """Returns the handler of a method. grpc's own resolver has this name and is asked in this way."""
        return self._handlers[details.method]

    def _request_call(self, method: str) -> None:
        """Asks gRPC's core for the next call of this method."""
        self._run(self._inner._server._request_registered_call(method.encode()), partial(self._accept, method))

    def _accept(self, method: str, state: Any) -> None:
        """Begins the call that has arrived, and asks for the next one. None: it was gone, or the server stops."""
        if self._inner._server.is_running():
            self._request_call(method)
        if state is not None:
            loop = asyncio.get_running_loop()
            if self._refuse is not None:
                refusal = self._refuse(method, partial(cygrpc._ServicerContext, state, None, None, loop))
                if refusal is not None:
                    self._run(refusal)
                    return
            serving = cygrpc._handle_rpc(method, self, self._interceptors, state, loop, False)
            self._run(cygrpc._schedule_rpc_coro(serving, state, loop, method))

    def _run(self, steps: Steps, on_end: Callable[[Any], None] | None = None) -> None:
        """Runs a coroutine of grpcio up to the next future that it awaits, and goes on when that is done.

        It begins at once, where a task begins in the next turn of the loop. And nothing cancels it, as the end of the
        loop cancels tasks: the core would write into memory that is free by then.
        """
        self._running.discard(steps)
        try:
            awaited = steps.send(None)
        except StopIteration as end:
            result = end.value
        except cygrpc._RequestCallError:
            result = None
        else:
            awaited._asyncio_future_blocking = False  # as a task does with a future that its coroutine awaits
            self._running.add(steps)
            awaited.add_done_callback(lambda _: self._run(steps, on_end))
            return
        if on_end is not None:
            on_end(result)


def _has_expected_functions() -> bool:
    """Returns whether this grpcio has the private functions that are used here."""
    if not hasattr(cygrpc.AioServer, "_request_registered_call"):
        return False
    if not hasattr(cygrpc, "_RequestCallError") or not hasattr(cygrpc, "_ServicerContext"):
        return False
    functions = {name: getattr(cygrpc, name, None) for name in _SIGNATURES}
    return all(
        function is not None and tuple(inspect.signature(function).parameters) == _SIGNATURES[name]
        for name, function in functions.items()
    )
