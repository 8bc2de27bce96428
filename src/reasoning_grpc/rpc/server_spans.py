"""`ServerSpans`: one span a call of our service, by opentelemetry-instrumentation-grpc."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters
from opentelemetry.trace import TracerProvider

Handler = Any
"""grpc's RpcMethodHandler; its type stubs know only the synchronous one."""
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class ServerSpans(grpc.aio.ServerInterceptor):
    """Surrounds the handlers of one service with the instrumentation's spans; others pass through untouched.

    The instrumentation awaits no coroutine that writes for itself, and writes down the text of every exception
    that it sees, an abort's too. Hence each call goes through it as in a capsule: to the instrumentation it is
    a generator that yields nothing and never fails. What the handler makes of it, its own context and its
    failures, go past it. How the call ended the handler says itself, on the span that is current in it.
    """

    def __init__(self, service: str, tracer_provider: TracerProvider) -> None:
        self._is_ours: Final = filters.service_name(service)
        self._instrumentation: Final = aio_server_interceptor(tracer_provider)  # type: ignore[no-untyped-call]

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """See grpc, which asks once for each call: so each has a capsule of its own."""
        if not self._is_ours(handler_call_details):
            return await continuation(handler_call_details)
        capsule = _Capsule(continuation)
        instrumented = await self._instrumentation.intercept_service(capsule.closed, handler_call_details)
        return capsule.opened(instrumented)


class _Capsule:
    """One call on its way through the instrumentation."""

    def __init__(self, continuation: Continuation) -> None:
        self._continuation = continuation
        self._context: grpc.aio.ServicerContext[Any, Any] | None = None
        self._failure: BaseException | None = None

    async def closed(self, details: grpc.HandlerCallDetails) -> Handler:
        """The handler as the instrumentation sees it."""
        handler = await self._continuation(details)
        if handler is None:
            return None

        async def streaming(request: Any, _: object) -> Any:
            await self._run(handler.unary_stream, request)
            return
            yield

        async def unary(request: Any, _: object) -> Any:
            return await self._run(handler.unary_unary, request)

        return _like(handler, streaming if handler.response_streaming else unary)

    def opened(self, instrumented: Handler) -> Handler:
        """The handler as grpc sees it: of the same style as without the instrumentation."""
        if instrumented is None:
            return None

        async def streaming(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            self._context = context
            async for _ in instrumented.unary_stream(request, context):
                pass
            self._raise_failure()

        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            self._context = context
            response = await instrumented.unary_unary(request, context)
            self._raise_failure()
            return response

        return _like(instrumented, streaming if instrumented.response_streaming else unary)

    async def _run(self, behavior: Callable[[Any, Any], Awaitable[Any]], request: Any) -> Any:
        try:
            return await behavior(request, self._context)
        except BaseException as exc:  # CancelledError too: raised again, unchanged, outside of the span
            self._failure = exc
            return None

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # or it would hold itself, by its traceback, until the next garbage collection


def _like(handler: Handler, behavior: Any) -> Handler:
    make = grpc.unary_stream_rpc_method_handler if handler.response_streaming else grpc.unary_unary_rpc_method_handler
    return make(behavior, handler.request_deserializer, handler.response_serializer)
