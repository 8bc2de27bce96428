"""The four RPC methods: convert, ask, convert, return."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from reasoning_grpc.domain.events import StreamEvent
from reasoning_grpc.domain.fold import fold
from reasoning_grpc.engine.engine import Engine
from reasoning_grpc.rpc import convert
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.interceptor import call_context
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    events_pb2,
    models_pb2,
    reasoning_service_pb2_grpc,
)

Context = grpc.aio.ServicerContext[Any, Any]


class ReasoningService(reasoning_service_pb2_grpc.ReasoningServiceServicer):
    """Serves the API; every error leaves as a ReasoningError, for the interceptor."""

    def __init__(self, engine: Engine, caps: Caps) -> None:
        self._engine = engine
        self._caps = caps

    async def Complete(
        self, request: completion_pb2.CompleteRequest, context: Context
    ) -> completion_pb2.CompleteResponse:
        """See the proto."""
        run = self._engine.run(convert.completion_request(request, self._caps), call_context(context))
        async with aclosing(run) as events:
            completion = await fold(_announced(events, context))
        return convert.complete_response(completion)

    async def StreamComplete(
        self, request: events_pb2.StreamCompleteRequest, context: Context
    ) -> AsyncIterator[events_pb2.StreamCompleteResponse]:
        """See the proto."""
        asked, heartbeat_seconds = convert.stream_request(request, self._caps)
        run = self._engine.run(asked, call_context(context), heartbeat_seconds)
        async with aclosing(run) as events:
            async for event in events:
                yield convert.stream_response(event)

    async def Classify(
        self, request: classification_pb2.ClassifyRequest, context: Context
    ) -> classification_pb2.ClassifyResponse:
        """See the proto."""
        asked, rules_only = convert.classify_request(request, self._caps)
        decision = await self._engine.classify(asked, call_context(context), rules_only=rules_only)
        return convert.classify_response(decision)

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, context: Context
    ) -> models_pb2.ListModelsResponse:
        """See the proto."""
        model_filter, page_size, page_token = convert.list_models_request(request)
        page = await self._engine.models(model_filter, page_size, page_token, call_context(context))
        return convert.list_models_response(page)


async def _announced(events: AsyncIterator[StreamEvent], context: Context) -> AsyncIterator[StreamEvent]:
    """The same events; with the first one go the headers.

    So the client's library does not send the call again when the connection breaks, and no answer is paid twice: as in
    a stream, whose first event says the same.
    """
    begun = False
    async for event in events:
        if not begun:
            begun = True
            await context.send_initial_metadata(())
        yield event
