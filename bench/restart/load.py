"""`Load`: a constant load of unary calls and streams, and what became of each call."""

import asyncio
import itertools
import json
import secrets
import time
from dataclasses import dataclass
from typing import Final

from bench.restart.servers import TOKEN
from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.client.client import text_request
from reasoning_grpc.client.connection import SERVICE_CONFIG
from reasoning_grpc.v1 import completion_pb2

OK: Final = "OK"
_UNARY_TIMEOUT_SECONDS: Final = 15.0


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
    has_interruption: bool = False

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
        unary_per_second: float,
        short_streams: int,
        long_streams: int,
        checks_health: bool = False,
    ) -> None:
        """`checks_health` lets the client watch each server's health, which the shipped service config does not."""
        self.calls: list[Call] = []
        options = [("grpc.service_config", _ask_for_health_checks())] if checks_health else []
        self._client = ReasoningClient(target, token=TOKEN, options=options)
        self._unary_interval_seconds = 1 / unary_per_second
        self._models = ["mock-100-20"] * short_streams + ["mock-1000-20"] * long_streams
        self._name = secrets.token_hex(4)
        self._numbers = itertools.count()
        self._stopping = asyncio.Event()
        self._running: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins the load."""
        self._running = [asyncio.create_task(self._start_unary_calls())]
        self._running += [asyncio.create_task(self._repeat_stream(model)) for model in self._models]

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
            await self._call_stream(model)

    async def _call_unary(self) -> None:
        call, request = self._begin("unary", "mock-1")
        try:
            await self._client.complete(request, timeout_seconds=_UNARY_TIMEOUT_SECONDS)
        except CallFailed as failure:
            _end(call, failure)
        else:
            _end(call, None)

    async def _call_stream(self, model: str) -> None:
        call, request = self._begin("stream", model)
        try:
            async for _ in self._client.stream(request):
                pass
        except CallFailed as failure:
            _end(call, failure)
        else:
            _end(call, None)

    def _begin(self, kind: str, model: str) -> tuple[Call, completion_pb2.CompleteRequest]:
        request = text_request("hi", model=model)
        request.request_id = f"{kind}-{self._name}-{next(self._numbers)}"
        call = Call(kind, request.request_id, time.time())
        self.calls.append(call)
        return call, request


def _ask_for_health_checks() -> str:
    config = json.loads(SERVICE_CONFIG)
    config["healthCheckConfig"] = {"serviceName": "readiness"}
    return json.dumps(config)


def _end(call: Call, failure: CallFailed | None) -> None:
    call.end_time = time.time()
    call.outcome = OK if failure is None else f"{failure.code.name} {failure.reason}".strip()
    call.has_interruption = failure is not None and failure.interruption is not None
