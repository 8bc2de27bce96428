"""`find_violations`: everything in a history that must not be. It is a pure function."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.history.log_checks import check_lines
from tests.history.outcome_checks import check_attempts, check_outcome, check_retry_info
from tests.history.records import CallRecord, History
from tests.history.stream_checks import check_answer, check_events, check_grammar_of_agent, check_text, check_tools
from tests.history.total_checks import check_interruption, check_totals
from tests.history.twin_checks import check_twins

_KNOWN_LINES: Final = re.compile(r"coroutine '\w+ChatCompletion\.[^']+' was never awaited|^  |Enable tracemalloc")
"""Python's warning when `litellm.acompletion` is cancelled while a thread prepares its coroutine."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that must not be, with everything that is needed to see it again."""

    seed: int
    number: int | None
    """The number of the call; None for a problem of no call in particular."""
    problem: str

    def __str__(self) -> str:
        call = "" if self.number is None else f", call {self.number}"
        return f"seed {self.seed}{call}: {self.problem}"


def find_violations(history: History) -> list[Violation]:
    """Returns all violations of a history, in the order of its calls."""
    found = [
        Violation(history.seed, call.plan.number, problem)
        for call in history.calls
        for problem in _check_call(history, call)
    ]
    found += [Violation(history.seed, number, problem) for number, problem in check_twins(history)]
    stray = [line for line in history.stray_lines if not (_KNOWN_LINES.search(line) or _is_from_grpc_alone(line))]
    return [*found, *(Violation(history.seed, None, f"standard error has {line!r}") for line in stray)]


def _is_from_grpc_alone(line: str) -> bool:
    """Whether grpc logs that it could not send a response, to a client that left after our handler had returned it."""
    return '"grpc._cython.cygrpc"' in line and "ExecuteBatchError" in line and "interceptor.py" not in line


def _check_call(history: History, call: CallRecord) -> Iterator[str]:
    exchanges, lines = history.exchanges_of(call), history.lines_of(call)
    yield from check_events(call)
    yield from check_answer(call)
    yield from check_grammar_of_agent(call)
    yield from check_tools(call)
    yield from check_text(call, exchanges)
    yield from check_outcome(call, exchanges)
    yield from check_retry_info(call, exchanges)
    yield from check_attempts(call, exchanges)
    yield from check_totals(call, exchanges)
    yield from check_interruption(call, exchanges)
    yield from check_lines(call, exchanges, lines)
