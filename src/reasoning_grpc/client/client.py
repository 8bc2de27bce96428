"""`ReasoningClient`: the four calls, with everything else of gRPC within reach."""

import re
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client.connection import connect
from reasoning_grpc.client.failure import CallFailed
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    events_pb2,
    messages_pb2,
    models_pb2,
    reasoning_service_pb2_grpc,
    routing_pb2,
)


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
        """Make it where its calls are made: a channel belongs to the event loop that runs then.

        `credentials` and `options` are those of `connect`. `token` is the caller's. It goes in plaintext without TLS:
        then only on a network that is trusted. Raises ValueError when it cannot stand in a header.
        """
        if token and not re.fullmatch("[!-~]+", token):
            raise ValueError("a token consists of visible ASCII characters")
        self._owns_channel = channel is None
        self._channel = channel or connect(target, credentials=credentials, options=options)
        self._stub = reasoning_service_pb2_grpc.ReasoningServiceStub(self._channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel that the calls use."""
        return self._channel

    @property
    def stub(self) -> "reasoning_service_pb2_grpc.ReasoningServiceAsyncStub":
        """The generated stub on the channel, for all that gRPC can do; it sends `metadata` only if told to."""
        return self._stub

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call: the token."""
        return self._metadata

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
        return response.route_decision

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


def text_of(message: messages_pb2.Message) -> str:
    """The text of a message: its parts of text, joined; reasoning, refusals and tool calls are none."""
    return "".join(part.text for part in message.content)


def text_request(text: str, *, system: str = "", model: str = "") -> completion_pb2.CompleteRequest:
    """A request of one user message, after a system message if one is given."""
    messages = [text_message(messages_pb2.ROLE_SYSTEM, system)] if system else []
    messages.append(text_message(messages_pb2.ROLE_USER, text))
    return completion_pb2.CompleteRequest(model=model, messages=messages)


def text_message(role: messages_pb2.Role.ValueType, text: str) -> messages_pb2.Message:
    """A message of one part of text."""
    return messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])
