"""`InProcessService`: calls of our service by the bytes of their requests, without a server and without a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.rpc import Admission, Callers, CallInterceptor, CallTracker, Caps, ReasoningService
from reasoning_grpc.rpc.status import STATUS_METADATA
from reasoning_grpc.server.listener import SERVICE
from reasoning_grpc.v1.reasoning_service_pb2_grpc import add_ReasoningServiceServicer_to_server

METHODS: Final = ("Complete", "StreamComplete", "Classify", "ListModels")
Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(slots=True)
class CallEnd:
    """The end of a call as its client would see it."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    trailers: Metadata = ()
    responses: list[bytes] = field(default_factory=list)

    @property
    def reason(self) -> str:
        """The reason of our `ErrorInfo`; empty without one."""
        info = ErrorInfo()
        for detail in self.status.details:
            if detail.Unpack(info):
                return info.reason
        return ""

    @property
    def status(self) -> Status:
        """The status with its details; empty for a call that ended well."""
        sent = dict(self.trailers).get(STATUS_METADATA, b"")
        return Status.FromString(sent if isinstance(sent, bytes) else sent.encode())


class InProcessContext:
    """The part of grpc's context that our service uses."""

    def __init__(self, payload: bytes, metadata: Metadata, serialize: Callable[[Any], bytes]) -> None:
        self._payload = payload
        self._metadata = metadata
        self._serialize = serialize
        self.end = CallEnd()

    def invocation_metadata(self) -> Metadata:
        """See grpc."""
        return self._metadata

    async def read(self) -> bytes:
        """See grpc."""
        return self._payload

    def peer(self) -> str:
        """See grpc."""
        return "ipv4:127.0.0.1:40000"

    def time_remaining(self) -> None:
        """Returns None: the call has no deadline."""

    async def send_initial_metadata(self, metadata: Metadata) -> None:
        """See grpc."""

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """See grpc."""
        self.end.trailers = metadata

    async def write(self, response: Any) -> None:
        """See grpc."""
        self.end.responses.append(self._serialize(response))

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> None:
        """See grpc."""
        self.end.code, self.end.message, self.end.trailers = code, details, trailing_metadata
        raise grpc.aio.AbortError


class InProcessService:
    """The real service behind the real interceptor."""

    def __init__(self, engine: Any, *, caps: Caps, max_request_bytes: int) -> None:
        self._handlers: Mapping[str, Any] = {}
        self._tracker = CallTracker()
        self._interceptor = CallInterceptor(
            service=SERVICE,
            callers=Callers(()),
            tracker=self._tracker,
            admission=Admission(),
            quotas=MemoryQuotas(),
            max_request_bytes=max_request_bytes,
        )
        registry: Any = self
        add_ReasoningServiceServicer_to_server(ReasoningService(engine, caps), registry)

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """See grpc.Server. The handlers also come by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """See grpc.Server."""
        assert service == SERVICE
        self._handlers = handlers

    @property
    def calls_in_flight(self) -> int:
        """The number of calls that have not ended."""
        return self._tracker.in_flight

    async def call(self, method: str, payload: bytes, metadata: Metadata = ()) -> CallEnd:
        """Makes a call, and returns how it ended. Raises what grpc would report as UNKNOWN."""
        inner = self._handlers[method]
        details: Any = _Details(f"/{SERVICE}/{method}", metadata)

        async def find_handler(_: object) -> Any:
            return inner

        handler = await self._interceptor.intercept_service(find_handler, details)
        context = InProcessContext(payload, metadata, inner.response_serializer)
        try:
            response = await (handler.stream_stream or handler.stream_unary)(None, context)
        except grpc.aio.AbortError:
            return context.end
        if handler.stream_unary:
            context.end.responses.append(response)
        return context.end


@dataclass(frozen=True, slots=True)
class _Details:
    """See grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Metadata
