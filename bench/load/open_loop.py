"""Calls this build at a given rate, whether or not it answers: `python -m bench.load.open_loop TARGET TOKEN`.

It reads orders from standard input, one JSON object a line: `model`, `rate` in calls a second, `seconds`,
`deadline_seconds` of each call and the `seed` of their times. It writes a report for each: the number of calls that
were `offered`, the `latencies` and `first_tokens` of the streams that ended well, in milliseconds, the `refusals` in
milliseconds by reason, and the `failures` by status code.

A call that is refused is not sent again, so the rate is what the server gets.
"""

import asyncio
import json
import random
import sys
from collections import Counter, defaultdict
from typing import Any, Final

import grpc

from reasoning_grpc.client import CallFailed, text_request
from reasoning_grpc.v1 import events_pb2, reasoning_service_pb2_grpc

_CONNECTIONS: Final = 8
"""The connections over which the calls are spread, as those of so many replicas of a caller."""
_OPTIONS: Final = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


class Load:
    """Calls one server over several connections."""

    def __init__(self, target: str, token: str) -> None:
        self._channels = [grpc.aio.insecure_channel(target, options=_OPTIONS) for _ in range(_CONNECTIONS)]
        self._stubs = [reasoning_service_pb2_grpc.ReasoningServiceStub(channel) for channel in self._channels]
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def run(self, order: dict[str, Any]) -> dict[str, Any]:
        """Makes the calls of an order, waits for all of them, and returns the report."""
        report = _Report()
        times = random.Random(order["seed"])
        loop = asyncio.get_running_loop()
        due = loop.time()
        end = due + order["seconds"]
        calls = set[asyncio.Task[None]]()
        while due < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            stub = self._stubs[report.offered % _CONNECTIONS]
            calls.add(asyncio.create_task(self._call(stub, order, report)))
            report.offered += 1
            due += times.expovariate(order["rate"])
        await asyncio.gather(*calls)
        return report.build()

    async def aclose(self) -> None:
        """Closes the connections."""
        for channel in self._channels:
            await channel.close()

    async def _call(self, stub: Any, order: dict[str, Any], report: "_Report") -> None:
        loop = asyncio.get_running_loop()
        request = events_pb2.StreamCompleteRequest(request=text_request("x", model=order["model"]))
        started, first = loop.time(), 0.0
        try:
            call = stub.StreamComplete(request, metadata=self._metadata, timeout=order["deadline_seconds"])
            async for event in call:
                if not first and event.WhichOneof("kind") == "content_delta":
                    first = loop.time()
        except grpc.aio.AioRpcError as error:
            elapsed = (loop.time() - started) * 1e3
            if reason := CallFailed(error).reason:
                report.refusals[reason].append(elapsed)
            else:
                report.failures[error.code().name] += 1
        else:
            report.latencies.append((loop.time() - started) * 1e3)
            report.first_tokens.append((first - started) * 1e3)


class _Report:
    def __init__(self) -> None:
        self.offered = 0
        self.latencies: list[float] = []
        self.first_tokens: list[float] = []
        self.refusals: dict[str, list[float]] = defaultdict(list)
        self.failures: Counter[str] = Counter()

    def build(self) -> dict[str, Any]:
        return vars(self)


async def _serve(target: str, token: str) -> None:
    load = Load(target, token)
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await load.run(json.loads(line))), flush=True)
    await load.aclose()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
