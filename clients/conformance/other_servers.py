"""Servers that behave in ways in which ours does not: a newer one, one without free capacity, one with a bug."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.domain.errors import ServerOverloaded
from reasoning_grpc.quotas import MemoryQuotas
from reasoning_grpc.rpc import (
    Admission,
    AdmissionLimits,
    Callers,
    CallInterceptor,
    CallTracker,
    Caps,
    ReasoningService,
    call_status,
)
from reasoning_grpc.server import SERVICE
from reasoning_grpc.v1 import completion_pb2, events_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceServicer,
    add_ReasoningServiceServicer_to_server,
)

if TYPE_CHECKING:  # only the type stubs declare it
    from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceAsyncStub

UNKNOWN_FINISH_REASON: Final[Any] = 99
UNKNOWN_REASON: Final = "NEWER_REASON"
_STATUS_METADATA: Final = "grpc-status-details-bin"
_ATTEMPTS_METADATA: Final = "grpc-previous-rpc-attempts"
"""The metadata in which a gRPC library says how many attempts at this call it has made before."""


def _encode_field(number: int, data: bytes) -> bytes:
    """Encodes a length-delimited field. The number must be below 2048, and the data shorter than 128 bytes."""
    tag = number << 3 | 2
    return bytes((tag & 0x7F | 0x80, tag >> 7, len(data))) + data


NEWER_EVENT: Final = _encode_field(900, b"\x0a\x05newer")
"""A kind of event that today's clients do not know."""
NEWER_FIELD: Final = _encode_field(901, b"more")
_BROKEN_DETAIL: Final = AnyMessage(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff\xff")
"""A detail whose type clients know, and whose bytes they cannot parse."""


class FrontServer(ReasoningServiceServicer):
    """Forwards every call to a server of ours, and returns its answers."""

    def __init__(self, ours: "ReasoningServiceAsyncStub") -> None:
        self._ours = ours

    async def Complete(self, request: Any, context: Any) -> Any:
        return await self._ours.Complete(request, metadata=_select_metadata(context))

    async def StreamComplete(self, request: Any, context: Any) -> AsyncIterator[Any]:
        async for event in self._ours.StreamComplete(request, metadata=_select_metadata(context)):
            yield event

    async def Classify(self, request: Any, context: Any) -> Any:
        return await self._ours.Classify(request, metadata=_select_metadata(context))

    async def ListModels(self, request: Any, context: Any) -> Any:
        return await self._ours.ListModels(request, metadata=_select_metadata(context))


class NewerServer(FrontServer):
    """Adds to the answers what a later release may add.

    It adds an event of an unknown kind after the first event, unknown fields in messages, an unknown finish reason,
    and an unknown reason of errors.
    """

    async def Complete(self, request: Any, context: Any) -> Any:
        try:
            response = await super().Complete(request, context)
        except grpc.aio.AioRpcError as error:
            await _abort_as_newer(context, error)
        response.MergeFromString(NEWER_FIELD)
        response.finish_reason = UNKNOWN_FINISH_REASON
        return response

    async def StreamComplete(self, request: Any, context: Any) -> AsyncIterator[Any]:
        added = 0
        try:
            async for event in super().StreamComplete(request, context):
                event.sequence += added
                event.MergeFromString(NEWER_FIELD)
                if event.HasField("completed"):
                    event.completed.finish_reason = UNKNOWN_FINISH_REASON
                yield event
                if not added:
                    added = 1
                    yield _build_newer_event(event)
        except grpc.aio.AioRpcError as error:
            await _abort_as_newer(context, error)


class CrowdedServer(FrontServer):
    """Rejects the first two attempts at a call of `Complete`, as a server of ours does that has no free capacity."""

    async def Complete(self, request: Any, context: Any) -> Any:
        if int(dict(context.invocation_metadata()).get(_ATTEMPTS_METADATA, 0)) < 2:
            full = call_status(ServerOverloaded(retry_after_seconds=0.05), "req_crowded")
            await context.abort(full.code, full.message, full.trailing_metadata)
        return await super().Complete(request, context)


class FaultyEngine:
    """An engine with a bug: whatever is called on it raises an error."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError("a fault of the server")


def create_full_server() -> grpc.aio.Server:
    """Creates a server that has the real service and interceptor, and admits no call."""
    return _create_server(AdmissionLimits(most_calls=0, most_waiting=0))


def create_faulty_server() -> grpc.aio.Server:
    """Creates a server that has the real service and interceptor, and an engine with a bug."""
    return _create_server(AdmissionLimits())


def _create_server(limits: AdmissionLimits) -> grpc.aio.Server:
    interceptor = CallInterceptor(
        service=SERVICE,
        callers=Callers(()),
        tracker=CallTracker(),
        admission=Admission(limits),
        quotas=MemoryQuotas(),
        max_request_bytes=1_000_000,
    )
    server = grpc.aio.server(interceptors=[interceptor])
    faulty: Any = FaultyEngine()
    add_ReasoningServiceServicer_to_server(ReasoningService(faulty, Caps()), server)
    return server


def _build_newer_event(before: events_pb2.StreamCompleteResponse) -> events_pb2.StreamCompleteResponse:
    event = events_pb2.StreamCompleteResponse(sequence=before.sequence + 1, elapsed_ms=before.elapsed_ms)
    event.MergeFromString(NEWER_EVENT)
    return event


def _select_metadata(context: Any) -> tuple[tuple[str, str | bytes], ...]:
    """Returns the metadata of the caller, without the entries that belong to its connection."""
    own = ("user-agent", "grpc-", ":")
    return tuple((key, value) for key, value in context.invocation_metadata() if not key.startswith(own))


async def _abort_as_newer(context: Any, error: grpc.aio.AioRpcError) -> NoReturn:
    """Ends the call with the same error, but with a reason and details that today's clients do not know."""
    trailers = dict(error.trailing_metadata() or ())
    status = Status.FromString(bytes(trailers[_STATUS_METADATA]))
    for packed in status.details:
        info = error_details_pb2.ErrorInfo()
        if packed.Unpack(info):
            info.reason = UNKNOWN_REASON
            packed.Pack(info)
    status.details.extend((_build_unknown_detail(), _BROKEN_DETAIL))
    trailers[_STATUS_METADATA] = status.SerializeToString()
    await context.abort(error.code(), error.details(), tuple(trailers.items()))
    raise AssertionError("an abort raises")


def _build_unknown_detail() -> AnyMessage:
    """Builds a detail whose type today's clients do not know."""
    return AnyMessage(
        type_url="type.googleapis.com/reasoning_grpc.v1.Newer",
        value=completion_pb2.EffectiveSetting(field="x").SerializeToString(),
    )
