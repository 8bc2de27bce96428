"""`run_kills`: kills an upstream several times under load, and counts what became of the calls."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.kill.upstreams import Upstream
from bench.restart.load import OK, Call, Load

_TYPED: Final = ("UNAVAILABLE UPSTREAM_UNREACHABLE", "UNAVAILABLE UPSTREAM_STREAM_TRUNCATED")
"""How a call may fail whose upstream is killed or not there."""
_REFUSED: Final = ("UNAVAILABLE SERVER_OVERLOADED", "UNAVAILABLE UPSTREAM_OVERLOADED")
"""How a call may fail at any time when other programs keep the machine busy: the bounds on calls are lower then."""
_STEADY_SECONDS: Final = 4.0
"""The load before the first kill, and after each recovery."""
_PATIENCE_SECONDS: Final = 120.0
_POLL_SECONDS: Final = 0.02


@dataclass
class Kill:
    """One kill, and what was known at its time."""

    time: float
    """Seconds of `time.time`."""
    in_flight: frozenset[str]
    """The request ids of the calls that had not ended."""
    begun: frozenset[str]
    """The request ids of the calls in flight whose callers had received a part of the answer."""
    back_time: float = 0.0
    """When the next process answered."""


@dataclass
class Phase:
    """The kills of one upstream under one load."""

    name: str
    calls: Sequence[Call] = ()
    kills: list[Kill] = field(default_factory=list)

    def summarize(self) -> dict[str, Any]:
        """Returns the counts of the whole phase, the facts of each kill, and the calls that broke a promise."""
        return {
            "calls": {kind: _count_outcomes(self.calls, kind) for kind in ("unary", "stream")},
            "kills": [self._describe(number) for number in range(len(self.kills))],
            "problems": self.list_problems(),
        }

    def list_problems(self) -> list[str]:
        """Returns a sentence for each way in which calls failed that they may not, and for each kill that lasted."""
        failed = [call for call in self._list_failed() if call.outcome not in _REFUSED]
        untyped = _count(call.outcome for call in failed if call.outcome not in _TYPED)
        early = _count(call.outcome for call in failed if self._find_kill(call) is None)
        problems = [f"{count} calls failed with {outcome}" for outcome, count in untyped.items()]
        problems += [f"{count} calls failed with {outcome} before a kill" for outcome, count in early.items()]
        for number, kill in enumerate(self.kills, 1):
            if self._find_first_answer(kill) is None:
                problems.append(f"after kill {number} no call was answered")
        return problems

    def _describe(self, number: int) -> dict[str, Any]:
        """Returns what became of the calls from one kill to the next."""
        kill = self.kills[number]
        failed = [call for call in self._list_failed() if self._find_kill(call) is kill]
        cut = [call for call in failed if call.request_id in kill.in_flight]
        later = [call for call in failed if call.request_id not in kill.in_flight]
        return {
            "in_flight": len(kill.in_flight),
            "begun": len(kill.begun),
            "failed_in_flight": _count(call.outcome for call in cut),
            "failed_begun": sum(call.request_id in kill.begun for call in cut),
            "failed_later": _count(call.outcome for call in later),
            "with_retry_delay": sum(call.retry_after_seconds is not None for call in failed),
            "slowest_failure_seconds": round(max((call.seconds for call in later), default=0.0), 2),
            "back_seconds": round(kill.back_time - kill.time, 2),
            "answer_seconds": self._find_first_answer(kill),
            "last_failure_seconds": round(max((call.end_time - kill.time for call in failed), default=0.0), 2),
        }

    def _list_failed(self) -> list[Call]:
        return [call for call in self.calls if call.outcome not in ("", OK)]

    def _find_kill(self, call: Call) -> Kill | None:
        """Returns the last kill before the end of a call."""
        return next((kill for kill in reversed(self.kills) if kill.time <= call.end_time), None)

    def _find_first_answer(self, kill: Kill) -> float | None:
        """Returns the seconds from a kill to the first answer of a call that was made after it."""
        ends = [call.end_time for call in self.calls if call.outcome == OK and call.start_time >= kill.time]
        return round(min(ends) - kill.time, 2) if ends else None


async def run_kills(name: str, load: Load, upstream: Upstream, kills: int) -> Phase:
    """Kills the upstream this many times, each time after calls have been answered for a while."""
    phase = Phase(name, load.calls)
    load.start()
    try:
        await _wait_for_answer(load, time.time())
        for _ in range(kills):
            await asyncio.sleep(_STEADY_SECONDS)
            in_flight = load.list_in_flight()
            begun = frozenset(call.request_id for call in in_flight if call.has_begun)
            kill = Kill(time.time(), frozenset(call.request_id for call in in_flight), begun)
            phase.kills.append(kill)
            await upstream.kill()
            await upstream.wait_until_back()
            kill.back_time = time.time()
            await _wait_for_answer(load, kill.back_time)
        await asyncio.sleep(_STEADY_SECONDS)
    finally:
        await load.stop()
    return phase


async def _wait_for_answer(load: Load, since: float) -> None:
    """Returns when a call of each kind that began after this time was answered, or when that takes too long."""
    give_up = time.time() + _PATIENCE_SECONDS
    while time.time() < give_up:
        answered = {call.kind for call in load.calls if call.outcome == OK and call.start_time >= since}
        if answered == {"unary", "stream"}:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _count_outcomes(calls: Sequence[Call], kind: str) -> dict[str, int]:
    return _count(call.outcome for call in calls if call.kind == kind)


def _count(outcomes: Iterable[str]) -> dict[str, int]:
    return dict(Counter(outcomes).most_common())
