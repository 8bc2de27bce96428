"""`ServerSpans`: a span for each call of our service, by opentelemetry-instrumentation-grpc."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from opentelemetry.instrumentation.grpc import aio_server_interceptor
from opentelemetry.trace import TracerProvider

Handler = Any
"""A grpc.RpcMethodHandler. It is Any because grpc's type stubs know only the synchronous form."""
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler]]


class ServerSpans(grpc.aio.ServerInterceptor):
    """Wraps the handlers of one service in the instrumentation's spans. Other handlers pass through unchanged.

    The instrumentation cannot await a coroutine that writes its responses itself, and it records the text of every
    exception that it sees, also of an abort. So each call passes through it in a capsule: the instrumentation sees a
    generator that yields nothing and never fails, while the handler's context and failures bypass it. The handler
    itself records on the current span how the call ended.
    """

    def __init__(self, service: str, tracer_provider: TracerProvider) -> None:
        self._prefix: Final = f"/{service}/"
        self._instrumentation: Final = aio_server_interceptor(tracer_provider)  # type: ignore[no-untyped-call]

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """See grpc. It calls this once for each call, so each call has a capsule of its own."""
        if not handler_call_details.method.startswith(self._prefix):
            return await continuation(handler_call_details)
        capsule = _Capsule(continuation)
        instrumented = await self._instrumentation.intercept_service(capsule.wrap, handler_call_details)
        return capsule.unwrap(instrumented)


class _Capsule:
    """One call on its way through the instrumentation."""

    def __init__(self, continuation: Continuation) -> None:
        self._continuation = continuation
        self._context: grpc.aio.ServicerContext[Any, Any] | None = None
        self._failure: BaseException | None = None

    async def wrap(self, details: grpc.HandlerCallDetails) -> Handler:
        """Returns the handler that the instrumentation sees."""
        handler = await self._continuation(details)
        if handler is None:
            return None

        async def streaming(request: Any, _: object) -> Any:
            await self._run(handler.stream_stream, request)
            return
            yield

        async def unary(request: Any, _: object) -> Any:
            return await self._run(handler.stream_unary, request)

        return _make_handler_like(handler, streaming if handler.response_streaming else unary)

    def unwrap(self, instrumented: Handler) -> Handler:
        """Returns the handler that grpc sees, in the style that it has without the instrumentation."""
        if instrumented is None:
            return None

        async def streaming(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            self._context = context
            async for _ in instrumented.stream_stream(request, context):
                pass
            self._raise_failure()

        async def unary(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            self._context = context
            response = await instrumented.stream_unary(request, context)
            self._raise_failure()
            return response

        return _make_handler_like(instrumented, streaming if instrumented.response_streaming else unary)

    async def _run(self, behavior: Callable[[Any, Any], Awaitable[Any]], request: Any) -> Any:
        try:
            return await behavior(request, self._context)
        except BaseException as exc:  # CancelledError as well; it is raised again, unchanged, outside of the span
            self._failure = exc
            return None

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # otherwise its traceback would keep it alive until the next garbage collection


def _make_handler_like(handler: Handler, behavior: Any) -> Handler:
    make = grpc.stream_stream_rpc_method_handler if handler.response_streaming else grpc.stream_unary_rpc_method_handler
    return make(behavior, handler.request_deserializer, handler.response_serializer)
