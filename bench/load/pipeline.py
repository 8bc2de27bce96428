"""Measures the pipeline of a unary call in this process: `python -m bench.load.pipeline CONFIG SECONDS`.

The pipeline is what stands between gRPC and the adapter: conversion, router, ledger, events, timers, retries and the
log line of the call, as wired in production. gRPC's context is replaced, and the adapter answers at once and prepares
no request, so neither gRPC nor litellm nor a wire takes part. Prints, as JSON, the CPU time of a call in microseconds:
`cpu_us` of the pipeline, `border_cpu_us` of the interceptor around it, which authenticates and parses, and
`limits_cpu_us`, which is what a call takes longer when its caller has all kinds of limits.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import grpc

from bench.services import TOKEN
from reasoning_grpc.cli.logs import set_up_logging
from reasoning_grpc.config import Config, LogFormat, read_config
from reasoning_grpc.domain import (
    CallContext,
    CallerLimits,
    CallerQuotas,
    Deployment,
    EffectiveSetting,
    FinishReason,
    ReadingPace,
    Usage,
    UsageMeter,
    UsageSource,
)
from reasoning_grpc.domain.events import ContentDelta, ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import LiteLLMModel
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.rpc import CallTracker, Caps, ReasoningService
from reasoning_grpc.server.interpreter import tune_interpreter
from reasoning_grpc.server.listener import SERVICE, build_call_interceptor, build_interceptors
from reasoning_grpc.server.wiring import build_parts
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.v1 import completion_pb2, messages_pb2

_METADATA: Final = (("authorization", f"Bearer {TOKEN}"), ("user-agent", "grpc-python-asyncio/1.85.1"))
_CALLS: Final = 100
"""The calls of one sample."""
_LIMITS: Final = CallerLimits(
    requests_per_minute=10**9, tokens_per_minute=10**12, calls_in_flight=10**6, nano_usd_per_day=10**18
)
"""Limits that no call reaches."""
_USAGE: Final = Usage(5, 1, 6, UsageSource.PROVIDER)


class AnsweringModel(LiteLLMModel):
    """Answers each call at once with one word."""

    async def stream(
        self, call: ModelCall, _deployment: Deployment, _context: CallContext, _meter: UsageMeter
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        yield ContentDelta("word ")
        yield ModelFinished(call.model, FinishReason.STOP, "stop", _USAGE, 0.001)

    def list_effective_settings(self, _call: ModelCall, _context: CallContext) -> tuple[EffectiveSetting, ...]:
        """See `LanguageModel.list_effective_settings`: here no provider changes anything."""
        return ()


async def _do_nothing(_request: completion_pb2.CompleteRequest, _context: Any) -> None:
    """Serves a call without doing anything for it."""


class _Context:
    """What the interceptor and the service use of gRPC's context of a call."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return _METADATA

    async def read(self) -> bytes:
        return _PAYLOAD

    def peer(self) -> str:
        return "ipv4:127.0.0.1:40000"

    def time_remaining(self) -> float | None:
        return None

    def set_trailing_metadata(self, metadata: Any) -> None:
        pass

    async def send_initial_metadata(self, metadata: Any) -> None:
        pass


async def measure(config_file: Path, seconds: float) -> dict[str, float]:
    """Returns the lowest CPU times of a call over samples for so many seconds, in microseconds."""
    config = read_config(flags={}, environment=os.environ, file=config_file)
    set_up_logging(config.settings.log_level, LogFormat.JSON)
    callers = {name: replace(entry, limits=_LIMITS) for name, entry in config.callers.items()}
    whole, border = await _serve(config, Telemetry())
    limited, _ = await _serve(replace(config, callers=callers), Telemetry())
    gc.collect()
    gc.freeze()
    tune_interpreter()
    lowest_whole = lowest_border = lowest_limited = float("inf")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lowest_whole = min(lowest_whole, await _sample(whole))
        lowest_limited = min(lowest_limited, await _sample(limited))
        logging.disable()  # the log line belongs to the pipeline
        lowest_border = min(lowest_border, await _sample(border))
        logging.disable(logging.NOTSET)
    return {
        "cpu_us": (lowest_whole - lowest_border) * 1e6,
        "border_cpu_us": lowest_border * 1e6,
        "limits_cpu_us": (lowest_limited - lowest_whole) * 1e6,
    }


async def _serve(config: Config, telemetry: Telemetry) -> tuple[Any, Any]:
    """Returns what serves a `Complete` of a server, and what does nothing for it, each behind the interceptor."""
    parts = build_parts(config, telemetry, adapter_class=AnsweringModel)
    whole = await _intercept(ReasoningService(parts.engine, Caps()).Complete, config, parts.quotas, telemetry)
    return whole, await _intercept(_do_nothing, config, parts.quotas, telemetry)


async def _intercept(complete: Any, config: Config, quotas: CallerQuotas, telemetry: Telemetry) -> Any:
    """Returns what serves a `Complete`, with the interceptor of a server around it."""
    calls = build_call_interceptor(config, CallTracker(), quotas, ReadingPace(), telemetry)
    (interceptor,) = build_interceptors(calls, telemetry)
    handler: Any = await interceptor.intercept_service(_find_handler(complete), _Details())
    return handler.stream_unary


async def _sample(serve: Any) -> float:
    """Returns the CPU seconds of a call, of a few in a row."""
    context = _Context()
    started = time.thread_time()
    for _ in range(_CALLS):
        await serve(None, context)
    return (time.thread_time() - started) / _CALLS


class _Details(grpc.HandlerCallDetails):
    method = f"/{SERVICE}/Complete"
    invocation_metadata = _METADATA


def _find_handler(complete: Any) -> Any:
    handler: Any = grpc.unary_unary_rpc_method_handler(
        complete,
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


_PAYLOAD: Final = _build_request().SerializeToString()

if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(Path(sys.argv[1]), float(sys.argv[2])))))
