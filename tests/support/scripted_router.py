"""A real gRPC server whose `Classify` follows a script."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import UNAVAILABLE
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import to_status

from reasoning_grpc.v1 import classification_pb2, completion_pb2, routing_pb2, usage_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import (
    ReasoningServiceServicer,
    add_ReasoningServiceServicer_to_server,
)

Script = Callable[[completion_pb2.CompleteRequest], routing_pb2.RouteDecision | None]
"""Returns the decision for a request; None rejects it with SERVER_OVERLOADED."""


@dataclass
class ScriptedRouter(ReasoningServiceServicer):
    """Answers by its script, and keeps the requests that it received."""

    script: Script
    address: str = ""
    requests: list[completion_pb2.CompleteRequest] = field(default_factory=list)

    async def Classify(
        self, request: classification_pb2.ClassifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> classification_pb2.ClassifyResponse:
        """Returns the decision of the script."""
        self.requests.append(request.request)
        decision = self.script(request.request)
        if decision is None:
            detail = Any()
            detail.Pack(ErrorInfo(reason="SERVER_OVERLOADED", domain="reasoning-grpc"))
            await context.abort_with_status(to_status(Status(code=UNAVAILABLE, message="full", details=[detail])))
        return classification_pb2.ClassifyResponse(route_decision=decision)


@asynccontextmanager
async def serve_script(script: Script) -> AsyncIterator[ScriptedRouter]:
    """Serves the script on a free port."""
    router = ScriptedRouter(script)  # type: ignore[abstract]  # the stub's base answers the others: UNIMPLEMENTED
    server = grpc.aio.server()
    add_ReasoningServiceServicer_to_server(router, server)
    router.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield router
    finally:
        await server.stop(grace=None)


def build_decision(
    route: str, *, milliseconds: int = 100, input_tokens: int = 50, nano_usd: int | None = 1000
) -> routing_pb2.RouteDecision:
    """Builds a decision of the classifier's model."""
    return routing_pb2.RouteDecision(
        route=route,
        source=routing_pb2.ROUTE_SOURCE_CLASSIFIER,
        classification=routing_pb2.Classification(
            model="small",
            latency=Duration(nanos=milliseconds * 1_000_000),
            usage=usage_pb2.Usage(
                input_tokens=input_tokens,
                output_tokens=4,
                total_tokens=input_tokens + 4,
                source=usage_pb2.USAGE_SOURCE_PROVIDER,
            ),
            cost=None if nano_usd is None else usage_pb2.Cost(total_nano_usd=nano_usd),
        ),
    )


def read_last_text(request: completion_pb2.CompleteRequest) -> str:
    """Returns the last text of a request."""
    return request.messages[-1].content[-1].text
