"""Calls this build at a given rate, whether or not it answers: `python -m bench.load.open_loop TARGET TOKEN`.

It reads orders from standard input, one JSON object a line: `method` ("Complete" or "StreamComplete"), `model`, `rate`
in calls a second, `seconds`, `deadline_seconds` of each call and the `seed` of their times. It writes a report for
each: the number of calls that were `offered`, and, in milliseconds since each call was due, the `latencies` and
`first_tokens` of those that ended well and the `refusals` by their text, which are UNAVAILABLE with a delay.
`late` counts the calls whose deadline passed, and `failures` the others by the number of their status.

Calls are due at random times, and their times count from there, so a client or a server that is late cannot hide it.
`lags` are the milliseconds by which each was sent too late, and `cpu_seconds` is what this process took: when the
client is no bottleneck, both are small. A call that is refused is not sent again, so the rate is what the server gets.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter, defaultdict
from typing import Any, Final

from bench.load.http2_connection import Http2Call, Http2Connection, encode_call
from reasoning_grpc.client import text_request
from reasoning_grpc.v1 import events_pb2

_CONNECTIONS: Final = 8
"""The connections over which the calls are spread, as those of so many replicas of a caller."""
_SERVICE: Final = "/reasoning_grpc.v1.ReasoningService/"
_SWEEP_SECONDS: Final = 0.01
_OK, _DEADLINE_EXCEEDED, _UNAVAILABLE = 0, 4, 14


async def run_order(target: str, token: str, order: dict[str, Any]) -> dict[str, Any]:
    """Makes the calls of an order, waits for all of them, and returns the report."""
    report, loop, cpu = _Report(), asyncio.get_running_loop(), time.process_time()
    deadline_seconds = order["deadline_seconds"]
    frames = _encode_order(target, token, order)
    host, _, port = target.rpartition(":")
    connections: list[Http2Connection] = []
    for _ in range(_CONNECTIONS):
        _, connection = await loop.create_connection(lambda: Http2Connection(frames, report.record), host, int(port))
        connections.append(connection)
    times = random.Random(order["seed"])
    due = loop.time()
    end = due + order["seconds"]
    next_sweep = due
    while report.in_progress or due < end:
        now = loop.time()
        while due < end and due <= now:
            connections[report.offered % _CONNECTIONS].send(report.begin(due, loop.time()))
            due += times.expovariate(order["rate"])
        if now >= next_sweep:
            for connection in connections:
                connection.cancel_before(now - deadline_seconds)
            next_sweep = now + _SWEEP_SECONDS
        await asyncio.sleep(max(0.0, (min(due, next_sweep) if due < end else next_sweep) - loop.time()))
    for connection in connections:
        connection.close()
    report.cpu_seconds = time.process_time() - cpu
    return report.build()


def _encode_order(target: str, token: str, order: dict[str, Any]) -> bytes:
    request = text_request("x", model=order["model"])
    streams = order["method"] == "StreamComplete"
    message = events_pb2.StreamCompleteRequest(request=request) if streams else request
    headers = (
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", "reasoning-grpc-bench"),
        ("grpc-timeout", f"{round(order['deadline_seconds'] * 1000)}m"),
        ("authorization", f"Bearer {token}"),
    )
    return encode_call(_SERVICE + order["method"], target, headers, message.SerializeToString())


class _Report:
    def __init__(self) -> None:
        self.offered = 0
        self.in_progress = 0
        self.late = 0
        self.latencies: list[float] = []
        self.first_tokens: list[float] = []
        self.refusals: dict[str, list[float]] = defaultdict(list)
        self.lags: list[float] = []
        self.failures: Counter[str] = Counter()
        self.cpu_seconds = 0.0

    def begin(self, due: float, now: float) -> Http2Call:
        """Records that a call is sent."""
        self.offered += 1
        self.in_progress += 1
        self.lags.append((now - due) * 1e3)
        return Http2Call(due, now)

    def record(self, call: Http2Call) -> None:
        """Records the end of a call. One without a status was cancelled when its deadline was over."""
        self.in_progress -= 1
        elapsed = (call.end_time - call.due_time) * 1e3
        if call.status == _OK:
            self.latencies.append(elapsed)
            self.first_tokens.append(((call.first_token_time or call.end_time) - call.due_time) * 1e3)
        elif call.status == _UNAVAILABLE and call.has_pushback:
            self.refusals[call.message].append(elapsed)
        elif call.status in (-1, _DEADLINE_EXCEEDED):
            self.late += 1
        else:
            self.failures[str(call.status)] += 1

    def build(self) -> dict[str, Any]:
        """Returns the report as JSON."""
        return vars(self)


async def _serve(target: str, token: str) -> None:
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await run_order(target, token, json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
