"""Restarts, and kills, each server in turn under load, and counts what became of the calls."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.restart.load import OK, Call, Load
from bench.restart.servers import DRAIN_DELAY_SECONDS, GRACE_SECONDS, Server

_STEADY_SECONDS: Final = 3.0
"""The load before the first signal, and after each server is back."""
_CUT: Final = "UNAVAILABLE SERVER_SHUTTING_DOWN"
_BARE: Final = ("UNAVAILABLE", "INTERNAL")
"""How a call ends whose server is killed: as UNAVAILABLE, and behind Envoy, which resets the stream, as INTERNAL."""
_BUCKET_SECONDS: Final = 0.5
_STOP_SECONDS: Final = DRAIN_DELAY_SECONDS + GRACE_SECONDS + 5.0
"""The time after which an orchestrator would kill a server that drains."""


@dataclass
class Phase:
    """One way to end the servers, under one load."""

    name: str
    load: Load
    start_time: float = field(default_factory=time.time)
    marks: list[tuple[float, str]] = field(default_factory=list)
    """When a server got its signal, and when it was back."""
    facts: list[dict[str, Any]] = field(default_factory=list)
    """What is known of each restart."""
    problems: list[str] = field(default_factory=list)

    def mark(self, event: str) -> None:
        """Remembers an event for the plot."""
        self.marks.append((round(time.time() - self.start_time, 2), event))

    def summarize(self) -> dict[str, Any]:
        """Returns the counts, the times of the calls and the course of the phase."""
        return {
            "problems": self.problems,
            "calls": {kind: _count(self.load.calls, kind) for kind in ("unary", "stream")},
            "unary_ms": _describe([call.seconds * 1000 for call in self.load.calls if call.kind == "unary"]),
            "servers": self.facts,
            "marks": self.marks,
            "course": self._list_course(),
        }

    def _list_course(self) -> list[dict[str, float]]:
        """Returns, for each half second, the calls that ended, the failures, and the longest unary call."""
        buckets: dict[int, list[Call]] = {}
        for call in self.load.calls:
            buckets.setdefault(int((call.end_time - self.start_time) / _BUCKET_SECONDS), []).append(call)
        return [
            {
                "seconds": number * _BUCKET_SECONDS,
                "ok": sum(call.outcome == OK for call in calls),
                "typed": sum(call.outcome == _CUT for call in calls),
                "bare": sum(call.outcome not in (OK, _CUT) for call in calls),
                "slowest_unary_ms": round(max((c.seconds * 1000 for c in calls if c.kind == "unary"), default=0.0), 1),
            }
            for number, calls in sorted(buckets.items())
        ]


async def run_restarts(name: str, load: Load, servers: Sequence[Server]) -> Phase:
    """Stops each server by SIGTERM: no unary call may fail, and streams only as SERVER_SHUTTING_DOWN."""

    async def end(phase: Phase, server: Server) -> None:
        stop = await server.stop()
        phase.facts.append({"server": server.number, **stop})
        if stop["exit_code"] != 0 or stop["seconds"] > _STOP_SECONDS:
            phase.problems.append(f"server {server.number} ended with {stop}")

    phase = await _run(name, load, servers, end)
    for call in load.calls:
        if call.outcome not in ((OK,) if call.kind == "unary" else (OK, _CUT)):
            phase.problems.append(f"{call.request_id} failed with {call.outcome}")
        if call.outcome == _CUT and not call.has_interruption:
            phase.problems.append(f"{call.request_id} was cut without an Interruption")
    return phase


async def run_kills(name: str, load: Load, servers: Sequence[Server]) -> Phase:
    """Kills each server: only calls that it had answered with headers may fail, with a bare UNAVAILABLE."""
    in_flight: dict[str, int] = {}
    kill_times: list[float] = []

    async def end(phase: Phase, server: Server) -> None:
        for call in load.list_in_flight():
            in_flight[call.request_id] = len(phase.facts)
        kill_times.append(time.time())
        await server.kill()
        phase.facts.append({"server": server.number})

    phase = await _run(name, load, servers, end)
    logged = {request_id: call for server in servers for request_id, call in server.read_calls().items()}
    for number, fact in enumerate(phase.facts):
        ids = {request_id for request_id, at in in_flight.items() if at == number}
        again = {each for each in ids if each in logged and logged[each].arrival_time > kill_times[number]}
        failed = {call.request_id for call in load.calls if call.outcome != OK and call.request_id in ids}
        lost = failed - logged.keys()
        fact |= {"in_flight": len(ids), "in_flight_on_it": len(lost | again), "failed": len(failed)}
        fact["sent_again"] = len(again)
    for call in load.calls:
        if call.outcome not in (OK, *_BARE):
            phase.problems.append(f"{call.request_id} failed with {call.outcome}")
        elif call.outcome in _BARE and (call.request_id not in in_flight or call.request_id in logged):
            phase.problems.append(f"{call.request_id} failed, although it was not at a server that was killed")
    return phase


async def _run(
    name: str, load: Load, servers: Sequence[Server], end: Callable[[Phase, Server], Awaitable[None]]
) -> Phase:
    phase = Phase(name, load)
    load.start()
    await asyncio.sleep(_STEADY_SECONDS)
    for server in servers:
        phase.mark(f"signal to {server.number}")
        await end(phase, server)
        phase.facts[-1]["start_seconds"] = round(await server.start(), 2)
        phase.mark(f"{server.number} is back")
        await server.wait_for_calls()
        await asyncio.sleep(_STEADY_SECONDS)
    await load.stop()
    return phase


def _count(calls: Sequence[Call], kind: str) -> dict[str, int]:
    return dict(Counter(call.outcome for call in calls if call.kind == kind).most_common())


def _describe(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p99": round(ordered[len(ordered) * 99 // 100], 1),
        "max": round(ordered[-1], 1),
    }
