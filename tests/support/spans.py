"""The spans that tests expect of the server: their names, attributes and trace contexts."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from reasoning_grpc.config import Config
from reasoning_grpc.server.listener import SERVICE as SERVICE_NAME
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from tests.support.otlp import OtlpReceiver, ReceivedSpan
from tests.support.serving import (
    RunningServer,
    serving,
)
from tests.support.upstream import (
    FakeUpstream,
)

SERVICE_PATH: Final = f"/{SERVICE_NAME}/"
COMPLETE: Final = SERVICE_PATH + "Complete"
STREAM_COMPLETE: Final = SERVICE_PATH + "StreamComplete"
CHAT: Final = "chat fake"
DISCOVERY: Final = "discover models"
INSTRUMENTATION: Final = "opentelemetry.instrumentation.grpc"
OURS: Final = "reasoning_grpc"

TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
CALLERS_SPAN: Final = "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{TRACE_ID}-{CALLERS_SPAN}-01"
TRACESTATE: Final = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
TRACED: Final = (("traceparent", TRACEPARENT), ("tracestate", TRACESTATE))

PROMPT: Final = "a secret that the prompt holds"
ANSWER: Final = "a secret that the answer holds"

Tracing = Callable[[Config], AbstractAsyncContextManager[RunningServer]]
"""Runs a server whose telemetry is exported to the receiver."""


@asynccontextmanager
async def serving_traced(config: Config) -> AsyncIterator[RunningServer]:
    """Runs a server with the telemetry that the environment variables request, all of which is exported at the end."""
    telemetry = Telemetry(read_telemetry_plan(os.environ))
    try:
        async with serving(config, telemetry) as running:
            yield running
    finally:
        await telemetry.aclose()


async def only_span(receiver: OtlpReceiver, name: str) -> ReceivedSpan:
    """Waits for the only span of this name, and returns it."""
    (span,) = await receiver.expect_spans(name)
    return span


def common_attributes(span: ReceivedSpan) -> Mapping[str, Any]:
    """Returns the attributes of a call's span without those that differ from call to call."""
    varying = {"net.peer.port", "rpc.user_agent", "reasoning_grpc.request_id", "reasoning_grpc.cost_nano_usd"}
    return {name: value for name, value in span.attributes.items() if name not in varying}


def call_attributes(method: str, code: int, **ours: Any) -> dict[str, Any]:
    """Returns the attributes of a call's span: the instrumentation's, and `ours` under our own prefix."""
    return {
        "rpc.system": "grpc",
        "rpc.service": "reasoning_grpc.v1.ReasoningService",
        "rpc.method": method,
        "rpc.grpc.status_code": code,
        "net.peer.ip": "127.0.0.1",
        "net.peer.name": "localhost",
        "openinference.span.kind": "CHAIN",
        **{f"reasoning_grpc.{name}": value for name, value in {"caller": "anonymous", **ours}.items()},
    }


ROUTED: Final = {"model": "fake", "route": "passthrough", "mode": "PASSTHROUGH", "route_source": "DEFAULT"}
ANSWERED: Final = {
    **ROUTED,
    "events": 4,
    "attempts": 1,
    "finish_reason": "STOP",
    "input_tokens": 11,
    "output_tokens": 7,
    "usage_source": "PROVIDER",
}


def model_call_attributes(upstream: FakeUpstream) -> dict[str, Any]:
    """Returns the attributes that every model call to the fake upstream has."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "fake",
        "gen_ai.request.stream": True,
        "server.address": "127.0.0.1",
        "server.port": upstream.port,
        "reasoning_grpc.model": "fake",
        "reasoning_grpc.wire": "chat",
        "openai.api.type": "chat_completions",
        "openinference.span.kind": "LLM",
        "llm.model_name": "fake",
        "llm.provider": "openai",
        "llm.system": "openai",
    }
