"""The typed async client: stubs only, nothing of the server.

async with ReasoningClient("127.0.0.1:50051") as client:
    answer = await client.complete(text_request("What is gRPC?"))
    async for event in client.stream(text_request("And HTTP/2?")):
        print(event.content_delta.text, end="")
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    events_pb2,
    interruption_pb2,
    messages_pb2,
    models_pb2,
    reasoning_service_pb2_grpc,
    routing_pb2,
)

__all__ = ["CallFailed", "FieldViolation", "ReasoningClient", "text_request"]

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


class CallFailed(Exception):
    """A call ended with a status that is not OK."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        super().__init__(f"{error.code().name}: {error.details()}")
        status = _rich_status(error)
        info = _detail(status, error_details_pb2.ErrorInfo)
        request_info = _detail(status, error_details_pb2.RequestInfo)
        retry_info = _detail(status, error_details_pb2.RetryInfo)
        bad_request = _detail(status, error_details_pb2.BadRequest)
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason: str = info.reason if info else ""
        """A reason of `ErrorReason`, without its prefix; empty when grpc itself ended the call."""
        self.metadata: dict[str, str] = dict(info.metadata) if info else {}
        self.request_id: str = request_info.request_id if request_info else ""
        self.retry_after_seconds: float | None = (
            retry_info.retry_delay.seconds + retry_info.retry_delay.nanos / 1e9 if retry_info else None
        )
        """When to try again; None when a retry is of no use, or would repeat what was sent."""
        self.violations: tuple[FieldViolation, ...] = tuple(
            FieldViolation(violation.field, violation.description)
            for violation in (bad_request.field_violations if bad_request else ())
        )
        self.interruption: interruption_pb2.Interruption | None = _detail(status, interruption_pb2.Interruption)
        """How far the call had come, when an upstream was reached."""
        self.route: routing_pb2.RouteDecision | None = _detail(status, routing_pb2.RouteDecision)
        """The decision, when this build does not serve it."""


class ReasoningClient:
    """Calls a server. Every method raises CallFailed.

    A channel of one's own can be given instead of a target; then closing it stays with its owner.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:50051",
        *,
        token: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        channel: grpc.aio.Channel | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """`credentials` turn TLS on (`grpc.ssl_channel_credentials`); `token` is the caller's."""
        self._owns_channel = channel is None
        if channel is None:
            settings = [("grpc.max_receive_message_length", -1), *options]
            if credentials is None:
                channel = grpc.aio.insecure_channel(target, options=settings)
            else:
                channel = grpc.aio.secure_channel(target, credentials, options=settings)
        self._channel = channel
        self._stub = reasoning_service_pb2_grpc.ReasoningServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channel, if it is this client's own."""
        if self._owns_channel:
            await self._channel.close()

    async def complete(
        self, request: completion_pb2.CompleteRequest, *, timeout_seconds: float | None = None
    ) -> completion_pb2.CompleteResponse:
        """The whole answer."""
        try:
            return await self._stub.Complete(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error

    async def stream(
        self,
        request: completion_pb2.CompleteRequest,
        *,
        timeout_seconds: float | None = None,
        heartbeat_seconds: float | None = None,
    ) -> AsyncGenerator[events_pb2.StreamCompleteResponse, None]:
        """The events of an answer as they happen. Closing the generator cancels the call."""
        options = events_pb2.StreamOptions()
        if heartbeat_seconds is not None:
            interval = Duration()
            interval.FromMilliseconds(round(heartbeat_seconds * 1000))
            options.heartbeat_interval.CopyFrom(interval)
        call = self._stub.StreamComplete(
            events_pb2.StreamCompleteRequest(request=request, stream_options=options),
            timeout=timeout_seconds,
            metadata=self._metadata,
        )
        try:
            async for event in call:
                yield event
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error
        finally:
            call.cancel()  # leaving a loop does not; without effect when the call has ended

    async def classify(
        self,
        request: completion_pb2.CompleteRequest,
        *,
        rules_only: bool = False,
        timeout_seconds: float | None = None,
    ) -> routing_pb2.RouteDecision:
        """How `complete` would route the request."""
        asked = classification_pb2.ClassifyRequest(request=request, rules_only=rules_only)
        try:
            response = await self._stub.Classify(asked, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error
        return response.route

    async def list_models(
        self, model_filter: models_pb2.ModelFilter | None = None, *, timeout_seconds: float | None = None
    ) -> list[models_pb2.Model]:
        """Every model that the caller may use, all pages together; the timeout is for each page."""
        models: list[models_pb2.Model] = []
        request = models_pb2.ListModelsRequest(filter=model_filter)
        while True:
            try:
                page = await self._stub.ListModels(request, timeout=timeout_seconds, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise CallFailed(error) from error
            models += page.models
            if not page.next_page_token:
                return models
            request.page_token = page.next_page_token


def text_request(text: str, *, system: str = "", model: str = "") -> completion_pb2.CompleteRequest:
    """A request of one user message, after a system message if one is given."""
    messages = [_text_message(messages_pb2.ROLE_SYSTEM, system)] if system else []
    messages.append(_text_message(messages_pb2.ROLE_USER, text))
    return completion_pb2.CompleteRequest(model=model, messages=messages)


def _text_message(role: messages_pb2.Role.ValueType, text: str) -> messages_pb2.Message:
    return messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])


def _rich_status(error: grpc.aio.AioRpcError) -> Status:
    status = Status()
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            status.ParseFromString(value)
    return status


def _detail(status: Status, kind: type[M]) -> M | None:
    for packed in status.details:
        detail = kind()
        if packed.Unpack(detail):
            return detail
    return None
