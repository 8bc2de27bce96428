"""The interceptor of our service: authentication, request id, parsing, statuses and the record of each call."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError, Message
from msgspec.structs import replace

from reasoning_grpc.domain import CallContext, CallerQuotas, read_clock
from reasoning_grpc.domain.errors import (
    FieldViolation,
    MalformedRequest,
    ReasoningError,
    RequestTooLarge,
    UpstreamError,
)
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.call_log import CallLog
from reasoning_grpc.rpc.call_quota import CallQuota
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.convert.requests import REQUEST_ID
from reasoning_grpc.rpc.entrance import REQUEST_ID_METADATA, Context, Entrance, Refusal, create_context
from reasoning_grpc.rpc.field_count import limit_fields
from reasoning_grpc.rpc.opening import OpeningQueue
from reasoning_grpc.rpc.status import CallStatus, call_status, internal_status
from reasoning_grpc.rpc.stream_writer import ClientGone, ClientStalled, StreamWriter
from reasoning_grpc.telemetry import Metrics, SnapshotBuilder, families
from reasoning_grpc.v1 import reasoning_service_pb2
from reasoning_grpc.v1.completion_pb2 import CompleteRequest

_METHODS: Final = reasoning_service_pb2.DESCRIPTOR.services_by_name["ReasoningService"].methods_by_name
_LEAST_SECONDS: Final = 0.001
"""The shortest timeout that gRPC's own clients send, also for a call whose deadline is over."""
_TOO_LATE: Final = "The deadline was over before the call could begin."
_STALLED: Final = "The client did not read the answer."
_STALLED_REASON: Final = "CLIENT_STALLED"
"""What the log says of a stream that was given up. It is no reason of an error: the client reads nothing."""

_current_call: ContextVar[CallContext] = ContextVar("current_call")

Handler = Any
"""A grpc.RpcMethodHandler. It is Any because grpc's type stubs know only the synchronous form."""


def call_context(_context: Context) -> CallContext:
    """Returns the context of the current call, as the interceptor created it."""
    return _current_call.get()


class _TooLate(Exception):
    """The deadline was over before the call could begin."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the handlers of one service. Handlers of other services pass through unchanged."""

    def __init__(
        self,
        *,
        service: str,
        callers: Callers,
        tracker: CallTracker,
        admission: Admission,
        quotas: CallerQuotas,
        max_request_bytes: int,
        metrics: Metrics | None = None,
        max_request_fields: int = 100_000,
        write_timeout_seconds: float = 30.0,
        passes_upstream_messages: bool = False,
    ) -> None:
        self._writer = StreamWriter(write_timeout_seconds)
        metrics = metrics or Metrics()
        metrics.calls.service = service
        openings = admission.openings
        self._prefix = f"/{service}/"
        self._wrapped: dict[str, tuple[Handler, Handler, _Method]] = {}
        """By method, the service's own handler, what it is wrapped in, and what serves its calls."""
        self._entrance = Entrance(
            callers, tracker, admission, quotas, openings, CallLog(metrics), max_request_bytes, passes_upstream_messages
        )
        metrics.add_source(_Gauges(admission, openings).read)
        self._max_request_fields = max_request_fields
        self._service: object | None = None
        """The service that answers in place of the one that grpc knows; None until `switch`."""

    def switch(
        self,
        service: object,
        *,
        callers: Callers,
        max_request_fields: int,
        write_timeout_seconds: float,
        passes_upstream_messages: bool,
    ) -> None:
        """Serves the calls that begin from now on by another configuration, with a service that has the same methods.

        Calls in progress keep what they began with.
        """
        self._service = service
        self._writer = StreamWriter(write_timeout_seconds)
        self._entrance = replace_fields(
            self._entrance, callers=callers, passes_upstream_messages=passes_upstream_messages
        )
        self._max_request_fields = max_request_fields
        for handler, _, method in self._wrapped.values():
            method.way = self._build_way(handler, method.name)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """See grpc. It is asked for each call, so each method is wrapped once."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith(self._prefix):
            return handler
        known = self._wrapped.get(method)
        if known is None or known[0] is not handler:
            known = self._wrapped[method] = (handler, *self._wrap(handler, method.removeprefix(self._prefix)))
        return known[1]

    def refuse_at_arrival(self, method: str, create_context: Callable[[], Context]) -> Refusal | None:
        """Returns what ends a call at once that has just arrived, if the server is full; None: it is served as usual.

        It costs a part of what grpc.aio takes to begin a call, which is most of what a refused call costs.
        """
        entrance = self._entrance
        if not entrance.admission.is_full or not method.startswith(self._prefix):
            return None
        return entrance.refuse_at_arrival(method.removeprefix(self._prefix), create_context())

    def _wrap(self, handler: Handler, name: str) -> "tuple[Handler, _Method]":
        """Returns a handler that reads the request itself, as bytes, and what serves its calls.

        grpc answers UNKNOWN if it cannot decode a request, and it would receive one also for a call that is refused.
        """
        method, serialize = _Method(name, self._build_way(handler, name)), handler.response_serializer
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(method.serve, response_serializer=serialize), method
        return grpc.stream_unary_rpc_method_handler(method.serve, response_serializer=serialize), method

    def _build_way(self, handler: Handler, name: str) -> "_Way":
        """Returns the way that the calls of a method take now."""
        parse = limit_fields(handler.request_deserializer, _METHODS[name].input_type, self._max_request_fields)
        answer = getattr(self._service, name, None) or handler.unary_stream or handler.unary_unary
        return _Way(
            self._entrance, parse, partial(self._writer.write_all, answer) if handler.response_streaming else answer
        )


@dataclass(frozen=True, slots=True)
class _Gauges:
    """Tells the metrics how many calls are in flight and how many wait."""

    admission: Admission
    openings: OpeningQueue

    def read(self, builder: SnapshotBuilder) -> None:
        """Adds the numbers of this moment to a snapshot."""
        admission = self.admission
        builder.add(families.CALLS_IN_FLIGHT, admission.in_flight)
        builder.add(families.CALLS_QUEUED, admission.waiting + self.openings.waiting)
        builder.add(families.CALLS_LIMIT, admission.limit)


@dataclass(frozen=True, slots=True)
class _Way:
    """The way of a call of one method: through the entrance, to its parsed request, to its answer."""

    entrance: Entrance
    parse: Callable[[bytes], Message]
    answer: Callable[[Message, Context], Awaitable[Any]]


class _Method:
    """Serves the calls of one RPC method: checks them, parses the request, and reports how each call ends."""

    def __init__(self, name: str, way: _Way) -> None:
        self.name = name
        self.way = way
        """The way of the calls that begin now. Each call looks at it once, so another one may take its place."""

    async def serve(self, _requests: object, context: Context) -> Any:
        """Returns the response, if the method has one. grpc looks at each call whether this is a coroutine function.

        It finds that out for a method of an object in a tenth of the time that it takes for a `partial`.
        """
        method, way = self.name, self.way
        entrance = way.entrance
        record_end = entrance.log.record_end
        metadata = tuple(context.invocation_metadata() or ())
        call = create_context(context, metadata)
        caller = call.caller
        quota: CallQuota | None = None
        try:
            entrance.tracker.begin(call)
            admitted = None
            try:
                caller = entrance.callers.authenticate(metadata, context)
                entrance.admission.refuse_if_full(caller.name, caller.priority)
                if caller.limits is not None:
                    quota = CallQuota(entrance.quotas, caller.name, caller.limits)
                    await quota.begin()
                payload = await _read_request(context)
                queue_seconds = 0.0
                if not entrance.admission.try_admit(caller.name):
                    queue_seconds = await entrance.admission.wait(caller.name, caller.priority)
                admitted = caller.name
                if not entrance.openings.take_turn():
                    queue_seconds += await entrance.openings.wait_for_turn()
                _check_time(call)
                call = replace(call, caller=caller, queue_seconds=queue_seconds)
                request = _parse_request(payload, way)
                if request_id := _find_request_id(request):
                    call = replace(call, request_id=request_id)
                _current_call.set(call)
                response = await way.answer(request, context)
            finally:
                if quota is not None:
                    quota.end()
                if admitted is not None:
                    entrance.admission.end(admitted)
                entrance.tracker.end()
                if call.caller is not caller:  # a call that is refused has a caller, too
                    call = replace(call, caller=caller)
            trailers = () if quota is None else quota.list_trailers()
            context.set_trailing_metadata(((REQUEST_ID_METADATA, call.request_id), *trailers))
            record_end(method, call, "OK", logging.INFO)
            return response
        except _TooLate:
            record_end(method, call, "DEADLINE_EXCEEDED", logging.INFO)
            status = CallStatus(grpc.StatusCode.DEADLINE_EXCEEDED, message=_TOO_LATE)
        except ReasoningError as error:
            status = call_status(error, call.request_id, passes_upstream_messages=entrance.passes_upstream_messages)
            level = logging.WARNING if isinstance(error, UpstreamError) else logging.INFO
            record_end(method, call, status.code.name, level, status.reason)
        except asyncio.CancelledError:
            if (cut := entrance.tracker.take_back_cut(call.report)) is not None:
                status = call_status(cut, call.request_id)
                record_end(method, call, status.code.name, logging.INFO, status.reason)
            elif _is_own_cancellation():
                record_end(method, call, call.infer_end_status(), logging.INFO)
                raise
            else:  # if it were passed on, the client would wait until its deadline
                status = internal_status(call.request_id)
                record_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        except (ClientGone, grpc.aio.InternalError):  # the latter, when the initial metadata could not be sent
            record_end(method, call, call.infer_end_status(), logging.INFO)
            status = CallStatus(grpc.StatusCode.CANCELLED)
        except ClientStalled:  # the status waits behind what the client has not read, and nothing else is held for it
            record_end(method, call, grpc.StatusCode.CANCELLED.name, logging.WARNING, _STALLED_REASON)
            status = CallStatus(grpc.StatusCode.CANCELLED, message=_STALLED)
        except grpc.aio.AbortError:
            raise
        except Exception:
            status = internal_status(call.request_id)
            record_end(method, call, "INTERNAL", logging.ERROR, status.reason, exc_info=True)
        abortion = _abort(context, status, () if quota is None else quota.list_trailers())
        del context, _requests  # both hold the error that ends this frame, whose traceback holds the frame
        return await abortion


def _parse_request(payload: bytes, way: _Way) -> Message:
    limit = way.entrance.max_request_bytes
    if len(payload) > limit:
        violation = FieldViolation("request", f"It has {len(payload)} bytes; at most {limit} are accepted.")
        raise RequestTooLarge(violations=(violation,))
    try:
        return way.parse(payload)
    except DecodeError as exc:
        raise MalformedRequest from exc


async def _read_request(context: Context) -> bytes:
    """Returns the only request of the call, not decoded. Raises ClientGone when the client has sent none."""
    payload = await context.read()
    if payload is grpc.aio.EOF:
        raise ClientGone
    request: bytes = payload
    return request


async def _abort(context: Context, status: CallStatus, trailers: Sequence[tuple[str, str]] = ()) -> None:
    """Ends the call with this status, and these trailers beside its own.

    A client that has left in this moment gets none, which is nobody's error. grpc would log it as one, with a
    traceback. A cancellation is how it ends the calls of clients that left earlier.
    """
    try:
        await context.abort(status.code, status.message, (*status.trailing_metadata, *trailers))
    except grpc.aio.InternalError as exc:
        raise asyncio.CancelledError from exc
    finally:
        del context  # see `_Method.serve`


def _check_time(call: CallContext) -> None:
    """Raises _TooLate when the deadline is over: gRPC's own cancellation may come too late."""
    if call.deadline is not None and call.deadline - read_clock() <= _LEAST_SECONDS:
        raise _TooLate


def _find_request_id(request: Any) -> str:
    """Returns the request id of the message if it has a valid one, or else an empty string."""
    completion = request if isinstance(request, CompleteRequest) else getattr(request, "request", None)
    if completion is None or not completion.request_id:
        return ""
    request_id: str = completion.request_id
    return request_id if REQUEST_ID.fullmatch(request_id) else ""


def _is_own_cancellation() -> bool:
    """Returns whether this call itself is cancelled, and not only something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
