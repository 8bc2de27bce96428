"""`make bench-kill` counts what became of each call, and calls a failure that is not typed a problem."""

from typing import Final

from bench.kill.phase import Kill, Phase
from bench.restart.load import Call

UNREACHABLE: Final = "UNAVAILABLE UPSTREAM_UNREACHABLE"


def a_call(number: int, outcome: str, start_time: float, end_time: float, *, retry_after: float | None = None) -> Call:
    """Builds a unary call."""
    return Call("unary", f"unary-{number}", start_time, end_time, outcome, retry_after_seconds=retry_after)


def test_the_report_assigns_failures_to_their_kill() -> None:
    """A call in flight at a kill is counted apart from a later one; the first answer is one of a later call."""
    kill = Kill(1000.0, frozenset({"unary-1", "unary-2"}), frozenset({"unary-2"}), back_time=1001.5)
    calls = [
        a_call(1, "OK", 999.9, 1000.1),
        a_call(2, "UNAVAILABLE UPSTREAM_STREAM_TRUNCATED", 999.9, 1000.1),
        a_call(3, UNREACHABLE, 1000.5, 1000.75, retry_after=1.0),
        a_call(4, "OK", 1001.0, 1002.0),
    ]

    report = Phase("a name", calls, [kill]).summarize()

    assert report["problems"] == []
    assert report["kills"] == [
        {
            "in_flight": 2,
            "begun": 1,
            "failed_in_flight": {"UNAVAILABLE UPSTREAM_STREAM_TRUNCATED": 1},
            "failed_begun": 1,
            "failed_later": {UNREACHABLE: 1},
            "with_retry_delay": 1,
            "slowest_failure_seconds": 0.25,
            "back_seconds": 1.5,
            "answer_seconds": 2.0,
            "last_failure_seconds": 0.75,
        }
    ]


def test_a_failure_that_is_not_allowed_is_a_problem() -> None:
    """A hang, a failure before the first kill, and a kill after which nothing is answered are problems."""
    calls = [
        a_call(1, UNREACHABLE, 990.0, 991.0),
        a_call(2, "DEADLINE_EXCEEDED", 1000.0, 1060.0),
        a_call(3, "UNAVAILABLE SERVER_OVERLOADED", 990.0, 990.1),
    ]

    phase = Phase("a name", calls, [Kill(1000.0, frozenset(), frozenset(), back_time=1001.0)])

    assert phase.list_problems() == [
        "1 calls failed with DEADLINE_EXCEEDED",
        f"1 calls failed with {UNREACHABLE} before a kill",
        "after kill 1 no call was answered",
    ]
