"""Measures the pipeline of a unary call in this process: `python -m bench.load.pipeline CONFIG SECONDS`.

The pipeline is everything of ours between gRPC and the adapter: the interceptor with its log line, conversion, router,
ledger, events, timers and retries, as wired in production. gRPC's context is replaced, and the adapter answers at once,
so neither gRPC nor a wire takes part. Prints, as JSON, the CPU time of a call in microseconds.
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, Final

import grpc

from bench.services import TOKEN
from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import LogFormat, read_config
from reasoning_grpc.domain import CallContext, FinishReason, Usage, UsageMeter, UsageSource
from reasoning_grpc.domain.events import ContentDelta, ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import LiteLLMModel
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.rpc import CallTracker, Caps, ReasoningService
from reasoning_grpc.server.listener import SERVICE, build_interceptors
from reasoning_grpc.server.server import tune_interpreter
from reasoning_grpc.server.wiring import build_parts
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.v1 import completion_pb2, messages_pb2

_METADATA: Final = (("authorization", f"Bearer {TOKEN}"), ("user-agent", "grpc-python-asyncio/1.85.1"))
_CALLS: Final = 100
"""The calls of one sample."""
_USAGE: Final = Usage(5, 1, 6, UsageSource.PROVIDER)


class AnsweringModel(LiteLLMModel):
    """Answers each call at once with one word."""

    async def stream(
        self, call: ModelCall, _context: CallContext, _meter: UsageMeter
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        yield ContentDelta("word ")
        yield ModelFinished(call.model, FinishReason.STOP, "stop", _USAGE, 0.001)


class _Context:
    """What the interceptor and the service use of gRPC's context of a call."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return _METADATA

    def time_remaining(self) -> float | None:
        return None

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    async def send_initial_metadata(self, metadata: Any) -> None:
        pass


async def measure(config_file: Path, seconds: float) -> float:
    """Returns the lowest CPU time of a call over samples for so many seconds, in microseconds."""
    config = read_config(flags={}, environment=os.environ, file=config_file)
    set_up_logging(config.settings.log_level, LogFormat.JSON)
    telemetry = Telemetry()
    parts = build_parts(config, telemetry, adapter_class=AnsweringModel)
    (interceptor,) = build_interceptors(config, CallTracker(), telemetry)
    service = ReasoningService(parts.engine, Caps())
    handler: Any = await interceptor.intercept_service(_find_handler(service), _Details())
    serve = handler.unary_unary
    context: Any = _Context()
    payload = _build_request().SerializeToString()
    gc.collect()
    gc.freeze()
    tune_interpreter()
    lowest, end = float("inf"), time.monotonic() + seconds
    while time.monotonic() < end:
        started = time.thread_time()
        for _ in range(_CALLS):
            answer = await serve(payload, context)
        lowest = min(lowest, (time.thread_time() - started) / _CALLS)
        assert answer.usage.output_tokens == 1
    return lowest * 1e6


class _Details(grpc.HandlerCallDetails):
    method = f"/{SERVICE}/Complete"
    invocation_metadata = _METADATA


def _find_handler(service: ReasoningService) -> Any:
    handler: Any = grpc.unary_unary_rpc_method_handler(
        service.Complete,
        request_deserializer=completion_pb2.CompleteRequest.FromString,
        response_serializer=None,
    )

    async def find(_details: grpc.HandlerCallDetails) -> Any:
        return handler

    return find


def _build_request() -> completion_pb2.CompleteRequest:
    part = messages_pb2.Part(text="x" * 16)
    message = messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[part])
    return completion_pb2.CompleteRequest(model="mock-1", messages=[message])


if __name__ == "__main__":
    print(json.dumps({"cpu_us": asyncio.run(measure(Path(sys.argv[1]), float(sys.argv[2])))}))
