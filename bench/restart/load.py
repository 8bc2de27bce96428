"""`Load`: a constant load of unary calls and streams, and what became of each call."""

import asyncio
import itertools
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.restart.servers import TOKEN
from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.client.client import text_request
from reasoning_grpc.client.connection import SERVICE_CONFIG
from reasoning_grpc.v1 import completion_pb2

OK: Final = "OK"
_FAILED_STREAM_SECONDS: Final = 0.1
"""The pause after a stream that failed, so that streams which fail at once do not take the machine."""


@dataclass
class Call:
    """One call of the load."""

    kind: str
    """unary or stream."""
    request_id: str
    start_time: float
    """Seconds of `time.time`, which servers log, too."""
    end_time: float = 0.0
    outcome: str = ""
    """OK, or the code of the failure and its reason, such as "UNAVAILABLE SERVER_SHUTTING_DOWN"; empty: in flight."""
    has_begun: bool = False
    """Whether the caller of a stream has received a part of the answer."""
    has_interruption: bool = False
    retry_after_seconds: float | None = None

    @property
    def seconds(self) -> float:
        """The time that the call took."""
        return self.end_time - self.start_time


class Load:
    """Starts unary calls at a constant rate, and keeps a constant number of streams in flight, until it is stopped."""

    def __init__(
        self,
        target: str,
        *,
        unary_model: str,
        unary_per_second: float,
        stream_models: Sequence[str],
        prompt: str = "hi",
        max_output_tokens: int | None = None,
        unary_timeout_seconds: float = 15.0,
        stream_timeout_seconds: float | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """`stream_models` has the model of each stream that is kept in flight; `options` are those of the channel."""
        self.calls: list[Call] = []
        self.name: Final = secrets.token_hex(4)
        """The part of its calls' request ids that no other load has."""
        self._client = ReasoningClient(target, token=TOKEN, options=options)
        self._unary_model = unary_model
        self._unary_interval_seconds = 1 / unary_per_second
        self._stream_models = stream_models
        self._prompt = prompt
        self._max_output_tokens = max_output_tokens
        self._unary_timeout_seconds = unary_timeout_seconds
        self._stream_timeout_seconds = stream_timeout_seconds
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins the load."""
        self._running = [asyncio.create_task(self._start_unary_calls())]
        self._running += [asyncio.create_task(self._repeat_stream(model)) for model in self._stream_models]

    async def stop(self) -> None:
        """Starts no further call, and waits for the end of those in flight."""
        self._stopping.set()
        await asyncio.gather(*self._running)
        await self._client.aclose()

    def list_in_flight(self) -> list[Call]:
        """Returns the calls that have not ended."""
        return [call for call in self.calls if not call.outcome]

    async def _start_unary_calls(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        async with asyncio.TaskGroup() as group:
            while not self._stopping.is_set():
                group.create_task(self._call_unary())
                due += self._unary_interval_seconds
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _repeat_stream(self, model: str) -> None:
        while not self._stopping.is_set():
            call = await self._call_stream(model)
            if call.outcome != OK:
                await asyncio.sleep(_FAILED_STREAM_SECONDS)

    async def _call_unary(self) -> None:
        call, request = self._begin("unary", self._unary_model)
        try:
            await self._client.complete(request, timeout_seconds=self._unary_timeout_seconds)
        except CallFailed as failure:
            _end(call, failure)
        else:
            _end(call, None)

    async def _call_stream(self, model: str) -> Call:
        call, request = self._begin("stream", model)
        try:
            async for event in self._client.stream(request, timeout_seconds=self._stream_timeout_seconds):
                call.has_begun = call.has_begun or event.HasField("content_delta")
        except CallFailed as failure:
            _end(call, failure)
        else:
            _end(call, None)
        return call

    def _begin(self, kind: str, model: str) -> tuple[Call, completion_pb2.CompleteRequest]:
        request = text_request(self._prompt, model=model)
        if self._max_output_tokens is not None:
            request.sampling.max_output_tokens = self._max_output_tokens
        request.request_id = f"{kind}-{self.name}-{next(self._numbers)}"
        call = Call(kind, request.request_id, time.time())
        self.calls.append(call)
        return call, request


def ask_for_health_checks() -> str:
    """Returns the shipped service config with health checks, so that the client watches each server's health."""
    config = json.loads(SERVICE_CONFIG)
    config["healthCheckConfig"] = {"serviceName": "readiness"}
    return json.dumps(config)


def _end(call: Call, failure: CallFailed | None) -> None:
    call.end_time = time.time()
    call.outcome = OK if failure is None else f"{failure.code.name} {failure.reason}".strip()
    if failure is not None:
        call.has_interruption = failure.interruption is not None
        call.retry_after_seconds = failure.retry_after_seconds
