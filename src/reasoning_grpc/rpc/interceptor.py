"""`CallInterceptor`: wraps the methods of our service, and lets another configuration take the place of theirs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from functools import partial
from typing import Any, Final

import grpc

from reasoning_grpc.domain import CallerQuotas, TurnQueue
from reasoning_grpc.llm import WaitTimers
from reasoning_grpc.rpc.admission import Admission
from reasoning_grpc.rpc.authentication import Callers
from reasoning_grpc.rpc.call_log import CallLog
from reasoning_grpc.rpc.calls_in_flight import CallTracker
from reasoning_grpc.rpc.entrance import Context, Entrance, Refusal
from reasoning_grpc.rpc.field_count import limit_fields
from reasoning_grpc.rpc.large_answers import LargeAnswers
from reasoning_grpc.rpc.request_reader import RequestReader
from reasoning_grpc.rpc.served_method import ServedMethod, Way
from reasoning_grpc.rpc.stream_writer import StreamWriter
from reasoning_grpc.telemetry import Metrics, SnapshotBuilder, families
from reasoning_grpc.v1 import reasoning_service_pb2

_METHODS: Final = reasoning_service_pb2.DESCRIPTOR.services_by_name["ReasoningService"].methods_by_name

Handler = Any
"""A grpc.RpcMethodHandler. It is Any because grpc's type stubs know only the synchronous form."""


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
        request_timeout_seconds: float = 30.0,
        write_timeout_seconds: float = 30.0,
        passes_upstream_messages: bool = False,
    ) -> None:
        self._write_timers = WaitTimers()
        self._writer = StreamWriter(write_timeout_seconds, self._write_timers)
        self._large_answers = LargeAnswers(write_timeout_seconds)
        metrics = metrics or Metrics()
        metrics.calls.service = service
        openings = admission.openings
        self._prefix = f"/{service}/"
        self._wrapped: dict[str, tuple[Handler, Handler, ServedMethod]] = {}
        """By method, the service's own handler, what it is wrapped in, and what serves its calls."""
        self._entrance = Entrance(
            callers,
            tracker,
            admission,
            quotas,
            openings,
            RequestReader(admission, request_timeout_seconds),
            CallLog(metrics),
            max_request_bytes,
            passes_upstream_messages,
        )
        metrics.add_source(_Gauges(admission, openings).read)
        self._max_request_fields = max_request_fields
        self._service: object | None = None
        """The service that answers in place of the one that grpc knows; None until `switch`."""

    @property
    def writes_in_progress(self) -> int:
        """The number of responses of streams that gRPC has not taken yet: one for each stream that waits to write."""
        return self._write_timers.count_waits()

    def switch(
        self,
        service: object,
        *,
        callers: Callers,
        max_request_fields: int,
        request_timeout_seconds: float,
        write_timeout_seconds: float,
        passes_upstream_messages: bool,
    ) -> None:
        """Serves the calls that begin from now on by another configuration, with a service that has the same methods.

        Calls in progress keep what they began with.
        """
        self._service = service
        self._writer = StreamWriter(write_timeout_seconds, self._write_timers)
        self._large_answers = LargeAnswers(write_timeout_seconds)
        self._entrance = replace_fields(
            self._entrance,
            callers=callers,
            requests=RequestReader(self._entrance.admission, request_timeout_seconds),
            passes_upstream_messages=passes_upstream_messages,
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

    def _wrap(self, handler: Handler, name: str) -> tuple[Handler, ServedMethod]:
        """Returns a handler that reads the request itself, as bytes, and what serves its calls.

        grpc answers UNKNOWN if it cannot decode a request, and it would receive one also for a call that is refused.
        """
        method = ServedMethod(name, self._build_way(handler, name))
        if handler.response_streaming:
            serialize = handler.response_serializer
            return grpc.stream_stream_rpc_method_handler(method.serve, response_serializer=serialize), method
        return grpc.stream_unary_rpc_method_handler(method.serve), method

    def _build_way(self, handler: Handler, name: str) -> Way:
        """Returns the way that the calls of a method take now."""
        parse = limit_fields(handler.request_deserializer, _METHODS[name].input_type, self._max_request_fields)
        answer = getattr(self._service, name, None) or handler.unary_stream or handler.unary_unary
        if handler.response_streaming:
            answer = partial(self._writer.write_all, answer)
        else:
            answer = _encode_answers(answer, handler.response_serializer)
        return Way(self._entrance, parse, answer, self._large_answers)


def _encode_answers(
    answer: Callable[[Any, Context], Awaitable[Any]], encode: Callable[[Any], bytes]
) -> Callable[[Any, Context], Awaitable[bytes]]:
    """Returns a method whose answers are encoded: how many bytes they have is known before gRPC has them."""

    async def answer_encoded(request: Any, context: Context) -> bytes:
        return encode(await answer(request, context))

    return answer_encoded


@dataclass(frozen=True, slots=True)
class _Gauges:
    """Tells the metrics how many calls are in flight and how many wait."""

    admission: Admission
    openings: TurnQueue

    def read(self, builder: SnapshotBuilder) -> None:
        """Adds the numbers of this moment to a snapshot."""
        admission = self.admission
        builder.add(families.CALLS_IN_FLIGHT, admission.in_flight)
        builder.add(families.CALLS_QUEUED, admission.waiting + self.openings.waiting)
        builder.add(families.CALLS_LIMIT, admission.limit)
