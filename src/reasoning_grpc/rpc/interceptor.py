"""What every call of our service goes through: who calls, request id, parsing, statuses, its end."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message
from opentelemetry.context import get_current
from opentelemetry.trace import get_current_span

from reasoning_grpc.domain import ANONYMOUS, CallContext
from reasoning_grpc.domain.errors import (
    FieldViolation,
    MalformedRequest,
    ReasoningError,
    RequestTooLarge,
    UpstreamError,
)
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.call_log import note_end
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert.requests import REQUEST_ID
from reasoning_grpc.rpc.status import call_status, internal_status
from reasoning_grpc.telemetry.tracing import read_trace_context, read_trace_id

REQUEST_ID_METADATA: Final = "x-request-id"

_current_call: ContextVar[CallContext] = ContextVar("current_call")

Handler = Any
"""grpc's RpcMethodHandler; its type stubs know only the synchronous one."""


def call_context(_context: grpc.aio.ServicerContext[Any, Any]) -> CallContext:
    """The context of the call that is being handled, as the interceptor made it."""
    return _current_call.get()


class _ClientGone(Exception):
    """A write failed, because the client has left; grpc cancels the call in a moment."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of one service; others pass through untouched."""

    def __init__(self, *, service: str, callers: Callers, tracker: CallTracker, max_request_bytes: int) -> None:
        self._prefix = f"/{service}/"
        self._callers = callers
        self._tracker = tracker
        self._max_request_bytes = max_request_bytes

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """See grpc. Our wrapper gets the request as bytes: grpc would answer UNKNOWN to undecodable ones."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(self._prefix):
            return handler
        name = method.removeprefix(self._prefix)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._streaming(handler, name), response_serializer=handler.response_serializer
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler, name), response_serializer=handler.response_serializer
        )

    def _unary(self, handler: Handler, method: str) -> Any:
        async def unary(payload: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
            async def answer(request: Message) -> Any:
                return await handler.unary_unary(request, context)

            return await self._serve(method, handler, payload, context, answer)

        return unary

    def _streaming(self, handler: Handler, method: str) -> Any:
        async def streaming(payload: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            async def answer(request: Message) -> None:
                # Written here rather than yielded to grpc: a cancelled write closes the handler at once.
                async with aclosing(handler.unary_stream(request, context)) as responses:
                    async for response in responses:
                        try:
                            await context.write(response)
                        except grpc.aio.InternalError as exc:
                            raise _ClientGone from exc

            await self._serve(method, handler, payload, context, answer)

        return streaming

    async def _serve(
        self,
        method: str,
        handler: Handler,
        payload: bytes,
        context: grpc.aio.ServicerContext[Any, Any],
        answer: Callable[[Message], Awaitable[Any]],
    ) -> Any:
        call = _new_call(context)
        try:
            with self._tracker.call():
                call = replace(call, caller=self._callers.authenticate(_metadata(context)))
                request = self._parsed(handler, payload)
                call = replace(call, request_id=_asked_request_id(request) or call.request_id)
                _current_call.set(call)
                response = await answer(request)
            context.set_trailing_metadata(((REQUEST_ID_METADATA, call.request_id),))
            note_end(method, call, "OK", logging.INFO)
            return response
        except ReasoningError as error:
            status = call_status(error, call.request_id)
            level = logging.WARNING if isinstance(error, UpstreamError) else logging.INFO
            note_end(method, call, status.code.name, level, status.reason)
        except asyncio.CancelledError:
            if _is_own_cancellation():
                note_end(method, call, call.cut_short_by(), logging.INFO)
                raise
            # Passed on, it would leave the client waiting for its deadline.
            status = internal_status(call.request_id)
            note_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        except _ClientGone:
            note_end(method, call, call.cut_short_by(), logging.INFO)
            return await context.abort(grpc.StatusCode.CANCELLED)
        except grpc.aio.AbortError:
            raise
        except Exception:
            status = internal_status(call.request_id)
            note_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        return await context.abort(status.code, status.message, status.trailing_metadata)

    def _parsed(self, handler: Handler, payload: bytes) -> Message:
        if len(payload) > self._max_request_bytes:
            violation = FieldViolation(
                "request", f"It has {len(payload)} bytes; at most {self._max_request_bytes} are taken."
            )
            raise RequestTooLarge(violations=(violation,))
        assert handler.request_deserializer is not None
        try:
            request: Message = handler.request_deserializer(payload)
        except DecodeError as exc:
            raise MalformedRequest from exc
        return request


def _new_call(context: grpc.aio.ServicerContext[Any, Any]) -> CallContext:
    """The context of a call, before it is known who calls."""
    now = asyncio.get_running_loop().time()
    remaining = context.time_remaining()
    metadata: dict[str, str] = {}
    for key, value in _metadata(context):
        if isinstance(value, str):
            metadata.setdefault(key, value)
    asked_id = metadata.get(REQUEST_ID_METADATA, "")
    # Inside the span of the call that span is the parent of what follows; without tracing, what the caller sent.
    trace = get_current() if get_current_span().get_span_context().is_valid else read_trace_context(metadata)
    return CallContext(
        caller=ANONYMOUS,
        request_id=asked_id if REQUEST_ID.fullmatch(asked_id) else f"req_{uuid.uuid4().hex}",
        arrived=now,
        deadline=None if remaining is None else now + remaining,
        metadata=metadata,
        trace=trace,
        trace_id=read_trace_id(trace),
    )


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> Sequence[tuple[str, str | bytes]]:
    return tuple(context.invocation_metadata() or ())


def _asked_request_id(request: Any) -> str:
    """The request id in the message itself, where it has one that is valid."""
    inner = getattr(request, "request", request)
    asked = getattr(inner, "request_id", "")
    return asked if REQUEST_ID.fullmatch(asked) else ""


def _is_own_cancellation() -> bool:
    """Whether this call itself is being cancelled, rather than something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
