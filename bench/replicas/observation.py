"""`Observation`: what the callers behind one kind of balancing noticed of one kind of fault, and whether they may."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.restart.load import OK, Call
from bench.restart.servers import EndedCall

CUT: Final = "UNAVAILABLE SERVER_SHUTTING_DOWN"
BARE: Final = ("UNAVAILABLE", "INTERNAL")
"""How a call ends whose replica says nothing more: as UNAVAILABLE, or as INTERNAL where Envoy resets the stream."""
_KINDS: Final = ("unary", "stream")
DEADLINE_SECONDS: Final = 60.0
"""The deadline of each call, which is longer than it takes to notice a replica that says nothing."""
_SLACK_SECONDS: Final = 5.0
"""How much later than its deadline a call may end on a busy machine."""
_SILENT: Final = ("hang", "partition")
"""The faults in which a replica serves no call that comes after the fault has begun."""
_TRANSIT_SECONDS: Final = 0.5
"""How long a call that was sent before the fault may take to arrive."""


@dataclass
class Strike:
    """One fault of one replica."""

    replica: int
    start_time: float
    """Seconds of `time.time`."""
    in_flight: frozenset[str]
    """The request ids of the load's calls that were in flight then, at any replica."""
    end_time: float = 0.0
    """When the replica was as before."""
    used_again_seconds: float | None = None
    """The time from there until the replica served a call of the load that came later; None: it did not in time."""
    problems: list[str] = field(default_factory=list)
    """What the replica did that it must not."""


@dataclass
class Observation:
    """The calls of one load, and the strikes that they met."""

    fault: str
    balancing: str
    calls: Sequence[Call]
    strikes: Sequence[Strike]
    ended: Mapping[int, Sequence[tuple[str, EndedCall]]]
    """The calls whose ends each replica has logged, with their request ids."""

    def summarize(self) -> dict[str, Any]:
        """Returns the counts, the times, and a sentence for each promise that was broken."""
        struck = self._find_struck_calls()
        failed = [call for call in self.calls if call.outcome != OK]
        return {
            "fault": self.fault,
            "balancing": self.balancing,
            "calls": {kind: _count(call.outcome for call in self.calls if call.kind == kind) for kind in _KINDS},
            "in_flight": _count_kinds(call for call in self.calls if call.request_id in struck),
            "failed_in_flight": _count_kinds(call for call in failed if call.request_id in struck),
            "last_failure_seconds": max((self._find_seconds_since_strike(call) for call in failed), default=None),
            "used_again_seconds": max(
                (strike.used_again_seconds for strike in self.strikes if strike.used_again_seconds is not None),
                default=None,
            ),
            "unary_seconds": _describe([call.seconds for call in self.calls if call.kind == "unary"]),
            "problems": list(self._list_problems(struck)),
        }

    def _find_struck_calls(self) -> set[str]:
        """Returns the calls that were in flight at a replica when it was struck: no other replica had got them."""
        found: set[str] = set()
        for strike in self.strikes:
            elsewhere = {
                request_id
                for number, calls in self.ended.items()
                if number != strike.replica
                for request_id, call in calls
                if call.arrival_time <= strike.start_time
            }
            found |= strike.in_flight - elsewhere
        return found

    def _find_seconds_since_strike(self, call: Call) -> float:
        """Returns the time from the last strike before the end of a call to this end."""
        times = [strike.start_time for strike in self.strikes if strike.start_time <= call.end_time]
        return round(call.end_time - max(times, default=call.end_time), 2)

    def _list_problems(self, struck: set[str]) -> Iterable[str]:
        for strike in self.strikes:
            yield from strike.problems
            if strike.used_again_seconds is None:
                yield f"replica {strike.replica} was not used again"
            if self.fault in _SILENT and (arrived := self._count_arrivals(strike)):
                yield f"{arrived} calls arrived at replica {strike.replica} meanwhile, so there was no fault"
        problems = Counter(problem for call in self.calls if (problem := self._judge(call, struck)) is not None)
        yield from (f"{count} {problem}" for problem, count in problems.items())

    def _count_arrivals(self, strike: Strike) -> int:
        """Returns how many calls, of any load, the replica got while it was struck."""
        begun = strike.start_time + _TRANSIT_SECONDS
        return sum(begun < call.arrival_time < strike.end_time for _, call in self.ended.get(strike.replica, ()))

    def _judge(self, call: Call, struck: set[str]) -> str | None:
        """Returns what is wrong with the end of a call; None when it may end so."""
        if not call.outcome:
            return f"{call.kind} calls did not end"
        if call.seconds > DEADLINE_SECONDS + _SLACK_SECONDS:
            return f"{call.kind} calls lasted longer than their deadline"
        if call.outcome == OK:
            return None
        if self.fault == "restart" and call.kind == "stream" and call.outcome == CUT:
            return None if call.has_interruption else "streams were cut without an Interruption"
        if self.fault in ("restart", "slow"):  # the process lives to say more, and other replicas take its calls
            return f"{call.kind} calls failed with {call.outcome}"
        if call.outcome not in BARE:
            return f"{call.kind} calls failed with {call.outcome}"
        if call.request_id not in struck:
            return f"{call.kind} calls failed with {call.outcome} that were not in flight at the replica"
        return None


def _count_kinds(calls: Iterable[Call]) -> dict[str, int]:
    counts = Counter(call.kind for call in calls)
    return {kind: counts[kind] for kind in _KINDS}


def _count(outcomes: Iterable[str]) -> dict[str, int]:
    return dict(Counter(outcomes).most_common())


def _describe(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[len(ordered) * 99 // 100], 2),
        "max": round(ordered[-1], 2),
    }
