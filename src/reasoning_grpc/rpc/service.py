"""The four RPC methods. Each converts the request, calls the engine and converts the result."""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from reasoning_grpc.domain.fold import CompletionBuilder
from reasoning_grpc.engine import Engine
from reasoning_grpc.rpc import convert
from reasoning_grpc.rpc.convert import Caps
from reasoning_grpc.rpc.served_method import call_context
from reasoning_grpc.v1 import (
    classification_pb2,
    completion_pb2,
    events_pb2,
    models_pb2,
    reasoning_service_pb2_grpc,
)

Context = grpc.aio.ServicerContext[Any, Any]


class ReasoningService(reasoning_service_pb2_grpc.ReasoningServiceServicer):
    """Serves the API. Errors leave it as ReasoningError, which the interceptor converts to a status."""

    def __init__(self, engine: Engine, caps: Caps) -> None:
        self._engine = engine
        self._caps = caps

    async def Complete(
        self, request: completion_pb2.CompleteRequest, context: Context
    ) -> completion_pb2.CompleteResponse:
        """See the proto."""
        run = self._engine.run(convert.completion_request(request, self._caps), call_context(context))
        builder = CompletionBuilder()
        try:
            async for event in run:
                if event.sequence == 0:
                    # Sends initial metadata, which commits the RPC before anything is paid for: without it, a client
                    # library would send the call again when its connection breaks. In a stream, the first event does.
                    await context.send_initial_metadata(())
                builder.record(event)
        finally:
            await run.aclose()
        return convert.complete_response(builder.build())

    async def StreamComplete(
        self, request: events_pb2.StreamCompleteRequest, context: Context
    ) -> AsyncIterator[events_pb2.StreamCompleteResponse]:
        """See the proto."""
        completion_request, heartbeat_seconds = convert.stream_request(request, self._caps)
        run = self._engine.run(completion_request, call_context(context), heartbeat_seconds)
        try:
            async for event in run:
                yield convert.stream_response(event)
        finally:
            await run.aclose()

    async def Classify(
        self, request: classification_pb2.ClassifyRequest, context: Context
    ) -> classification_pb2.ClassifyResponse:
        """See the proto."""
        completion_request, rules_only = convert.classify_request(request, self._caps)
        decision = await self._engine.classify(completion_request, call_context(context), rules_only=rules_only)
        return convert.classify_response(decision)

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, context: Context
    ) -> models_pb2.ListModelsResponse:
        """See the proto."""
        model_filter, page_size, page_token = convert.list_models_request(request)
        page = await self._engine.list_models(model_filter, page_size, page_token, call_context(context))
        return convert.list_models_response(page)
