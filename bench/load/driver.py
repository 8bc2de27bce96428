"""Runs orders: how many calls at once, for how long, and what is timed.

It is imported by clients that run with the interpreter of another build, so it needs nothing but Python.

An order is a JSON object: `kind` ("unary", "stream" or "agent"), `model`, `concurrency`, `seconds` or `calls`,
`prompt_bytes`, `interval_seconds` of a paced stream, and `steps` of the agent. The report is a JSON object: `calls`,
`words`, `messages`, `seconds`, the `latencies` and `first_tokens` in milliseconds, the `delays` of paced words in
milliseconds, and the `failures`.

The kind "open" opens as many more streams as `calls` says, `concurrency` of them at once, and reports when all of them
have begun. They stay open until the kind "close", which reports how many still were.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

WORD = "word "
"""What each chunk of the mock upstream holds."""


class Client(Protocol):
    """Makes single calls of one service."""

    async def complete(self, model: str, prompt: str) -> int:
        """Makes a unary call, and returns the words of its answer."""
        ...

    def stream(self, model: str, prompt: str) -> AsyncIterator[int]:
        """Makes a streaming call, and yields how many words each message brings."""
        ...

    async def think(self, model: str, prompt: str, steps: int) -> int:
        """Calls the agent, which must take all the steps, and returns their number."""
        ...

    async def aclose(self) -> None:
        """Closes the connections."""
        ...


class Report:
    """What the calls of one order have taken."""

    def __init__(self) -> None:
        self.calls = 0
        self.words = 0
        self.messages = 0
        self.latencies: list[float] = []
        self.first_tokens: list[float] = []
        self.delays: list[float] = []
        self.failures: dict[str, int] = {}

    def record_failure(self, error: Exception) -> None:
        """Counts a failed call by the class of its error."""
        name = type(error).__name__
        self.failures[name] = self.failures.get(name, 0) + 1

    def build(self, seconds: float) -> dict[str, Any]:
        """Returns the report as JSON."""
        return {**vars(self), "seconds": seconds}


class OpenStreams:
    """The streams that stay open from one order to another."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, order: dict[str, Any]) -> Report:
        """Opens more streams, and waits until each has brought a word or has failed."""
        report = Report()
        for first in range(0, order["calls"], order["concurrency"]):
            count = min(order["concurrency"], order["calls"] - first)
            begun = [asyncio.Event() for _ in range(count)]
            self._tasks += [asyncio.create_task(self._read(order["model"], event, report)) for event in begun]
            await asyncio.gather(*(event.wait() for event in begun))
        return report

    async def close(self) -> Report:
        """Cancels the streams, and counts those that were still open."""
        report = Report()
        report.calls = sum(not task.done() for task in self._tasks)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        return report

    async def _read(self, model: str, begun: asyncio.Event, report: Report) -> None:
        try:
            async for _ in self._client.stream(model, "x"):
                if not begun.is_set():
                    report.calls += 1
                    begun.set()
        except Exception as error:  # counted as in `_call`
            report.record_failure(error)
        finally:
            begun.set()


async def serve_orders(create_client: Callable[[], Awaitable[Client]]) -> None:
    """Reads orders from standard input until it ends, and writes a report for each."""
    client = await create_client()
    streams = OpenStreams(client)
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await _run_any(client, streams, json.loads(line))), flush=True)
    await client.aclose()


async def _run_any(client: Client, streams: OpenStreams, order: dict[str, Any]) -> dict[str, Any]:
    if order["kind"] == "open":
        return (await streams.open(order)).build(0)
    if order["kind"] == "close":
        return (await streams.close()).build(0)
    return await run_order(client, order)


async def run_order(client: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Runs one order, and returns its report."""
    report = Report()
    prompt = "x" * int(order.get("prompt_bytes", 16))
    started = time.monotonic()
    end: float | None = started + order["seconds"] if "seconds" in order else None
    left: list[int] = [order.get("calls", 0)]

    def goes_on() -> bool:
        if end is not None:
            return time.monotonic() < end
        left[0] -= 1
        return left[0] >= 0

    async def work() -> None:
        while goes_on():
            await _call(client, order, prompt, report)

    await asyncio.gather(*(work() for _ in range(order["concurrency"])))
    return report.build(time.monotonic() - started)


async def _call(client: Client, order: dict[str, Any], prompt: str, report: Report) -> None:
    started = time.monotonic()
    try:
        if order["kind"] == "unary":
            words = await client.complete(order["model"], prompt)
        elif order["kind"] == "agent":
            words = await client.think(order["model"], prompt, order["steps"])
        else:
            words = await _read_stream(client, order, prompt, report)
    except Exception as error:  # counted, and printed with the figures: a run with failures is no measurement
        report.record_failure(error)
        return
    report.calls += 1
    report.words += words
    report.latencies.append((time.monotonic() - started) * 1e3)


async def _read_stream(client: Client, order: dict[str, Any], prompt: str, report: Report) -> int:
    interval = order.get("interval_seconds", 0.0)
    started = time.monotonic()
    words, arrivals = 0, []
    async for count in client.stream(order["model"], prompt):
        arrived = time.monotonic()
        report.messages += 1
        if not words:
            report.first_tokens.append((arrived - started) * 1e3)
        if interval:
            arrivals += [arrived - (words + index) * interval for index in range(count)]
        words += count
    if arrivals:
        earliest = min(arrivals)
        report.delays += [(arrival - earliest) * 1e3 for arrival in arrivals]
    return words
