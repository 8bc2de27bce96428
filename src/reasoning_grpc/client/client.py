"""`ReasoningClient` makes the four calls. Its channel and stub stay available for everything else in gRPC."""

import re
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

import grpc
from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.client.connection import ChannelPerLoop, connect
from reasoning_grpc.client.failure import CallFailed
from reasoning_grpc.client.time_limit import PunctualChannel
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
    """Calls a server. Each method that makes a call raises CallFailed when the call fails.

    With `timeout_seconds` of 0 or less, a call fails with DEADLINE_EXCEEDED before it is sent.

    A `channel` can be given in place of a target; the client then does not close it, and it must be used in the event
    loop of that channel. Otherwise the client can be created anywhere, also in a module and before any event loop runs:
    it opens a channel for each event loop that makes calls, at the first call.
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
        """Creates the client, which does not connect yet.

        `credentials` and `options` are those of `connect`. `token` is the bearer token of the caller. Without TLS it is
        sent in plaintext, so use it without TLS only in a trusted network. Raises ValueError when the token cannot be
        sent in a header.
        """
        if token and not re.fullmatch("[!-~]+", token):
            raise ValueError("a token must consist of visible ASCII characters")
        self._given_channel = channel
        self._channels = ChannelPerLoop(partial(connect, target, credentials=credentials, options=options))
        self._stub: tuple[grpc.aio.Channel, reasoning_service_pb2_grpc.ReasoningServiceAsyncStub] | None = None
        """The stub of the last call, with its channel."""
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    @property
    def channel(self) -> grpc.aio.Channel:
        """Returns the channel that the calls of the running event loop use."""
        return self._given_channel or self._channels.find_or_open()

    @property
    def stub(self) -> "reasoning_service_pb2_grpc.ReasoningServiceAsyncStub":
        """Returns the generated stub of the channel. Pass `metadata` to its calls: it does not send it by itself.

        A call with a `timeout` of 0 or less raises AioRpcError, and is not sent.
        """
        channel = self.channel
        if self._stub is None or self._stub[0] is not channel:
            punctual = cast("grpc.aio.Channel", PunctualChannel(channel))
            self._stub = channel, reasoning_service_pb2_grpc.ReasoningServiceStub(punctual)
        return self._stub[1]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Returns the metadata that is sent with every call: the token."""
        return self._metadata

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channel of the running event loop, unless it was given to the client. A later call opens one."""
        self._stub = None
        await self._channels.aclose()

    async def complete(
        self, request: completion_pb2.CompleteRequest, *, timeout_seconds: float | None = None
    ) -> completion_pb2.CompleteResponse:
        """Returns the whole answer."""
        try:
            return await self.stub.Complete(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error

    async def stream(
        self,
        request: completion_pb2.CompleteRequest,
        *,
        timeout_seconds: float | None = None,
        heartbeat_seconds: float | None = None,
    ) -> AsyncGenerator[events_pb2.StreamCompleteResponse, None]:
        """Yields the events of an answer when they happen. Closing the generator cancels the call."""
        options = events_pb2.StreamOptions()
        if heartbeat_seconds is not None:
            interval = Duration()
            interval.FromMilliseconds(round(heartbeat_seconds * 1000))
            options.heartbeat_interval.CopyFrom(interval)
        stream_request = events_pb2.StreamCompleteRequest(request=request, stream_options=options)
        try:
            call = self.stub.StreamComplete(stream_request, timeout=timeout_seconds, metadata=self._metadata)
            try:
                async for event in call:
                    yield event
            finally:
                call.cancel()  # leaving a loop does not cancel; no effect after the end of the call
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error

    async def classify(
        self,
        request: completion_pb2.CompleteRequest,
        *,
        rules_only: bool = False,
        timeout_seconds: float | None = None,
    ) -> routing_pb2.RouteDecision:
        """Returns how `complete` would route the request."""
        classify_request = classification_pb2.ClassifyRequest(request=request, rules_only=rules_only)
        try:
            response = await self.stub.Classify(classify_request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(error) from error
        return response.route_decision

    async def list_models(
        self, model_filter: models_pb2.ModelFilter | None = None, *, timeout_seconds: float | None = None
    ) -> list[models_pb2.Model]:
        """Returns every model that the caller may use, from all pages. The timeout applies to each page."""
        models: list[models_pb2.Model] = []
        request = models_pb2.ListModelsRequest(filter=model_filter)
        while True:
            try:
                page = await self.stub.ListModels(request, timeout=timeout_seconds, metadata=self._metadata)
            except grpc.aio.AioRpcError as error:
                raise CallFailed(error) from error
            models += page.models
            if not page.next_page_token:
                return models
            request.page_token = page.next_page_token


def text_of(message: messages_pb2.Message) -> str:
    """Returns the parts of text of a message, joined. Reasoning, refusals and tool calls are not text."""
    return "".join(part.text for part in message.content)


def text_request(text: str, *, system: str = "", model: str = "") -> completion_pb2.CompleteRequest:
    """Creates a request that has one message of the user, after a system message if one is given."""
    messages = [text_message(messages_pb2.ROLE_SYSTEM, system)] if system else []
    messages.append(text_message(messages_pb2.ROLE_USER, text))
    return completion_pb2.CompleteRequest(model=model, messages=messages)


def text_message(role: messages_pb2.Role.ValueType, text: str) -> messages_pb2.Message:
    """Creates a message that has one part of text."""
    return messages_pb2.Message(role=role, content=[messages_pb2.Part(text=text)])
