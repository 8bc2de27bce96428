"""`TaskLedger`: what one attempt at a task uses. It is recorded in the ledger of the request as well."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from msgspec.structs import replace

from reasoning_grpc.domain import ModelCallUsage, Prices
from reasoning_grpc.domain.events import Event, ModelCallStarted, ReasoningFinished, TaskFinished
from reasoning_grpc.engine.account import Account
from reasoning_grpc.engine.agent_record import AgentRecord
from reasoning_grpc.engine.ledger import Entry, Ledger


class TaskAccount(Account):
    """The tokens and the cost of a task, which count for the request too."""

    number: int = 0
    whole: Account | None = None

    def record(self, attempt: ModelCallUsage, prices: Prices) -> None:
        """Records the tokens of one attempt at a model call of the task."""
        attempt = replace(attempt, task=self.number)
        super().record(attempt, prices)
        if self.whole is not None:
            self.whole.record(attempt, prices)


@dataclass(slots=True, kw_only=True)
class TaskLedger(Ledger):
    """The ledger of one attempt at a task. Several of them are open at the same time."""

    number: int
    parent: Ledger

    def record(self, event: Event) -> Entry:
        """Records one event of the task at the time when it happens."""
        parent, waits = self.parent, self._count_waits()
        entry = Ledger.record(self, event)
        parent.record_waits(self._count_waits() - waits, entry.elapsed_seconds)
        parent.has_sent_output = parent.has_sent_output or self.has_sent_output
        parent.is_reached = parent.is_reached or self.is_reached
        return Entry(event, entry.call, entry.step, entry.elapsed_seconds, self.number)

    def interrupt(self, elapsed: float) -> None:
        """Closes the attempt at a model call that is in progress, because the whole request ends."""
        if self._open is not None and self._open.start_offset_seconds <= elapsed:
            self._close_interrupted(self._open, None, elapsed)
        self.parent.is_reached = self.parent.is_reached or self.is_reached

    def _count_waits(self) -> int:
        """Returns how many model calls and tools of the task are in progress."""
        return (self._open is not None) + (0 if self.agent is None else self.agent.running)

    def _record_numbered_call(self, event: ModelCallStarted, elapsed: float) -> None:
        """Records the start of a model call, whose number is unique in the whole request."""
        if event.attempt == 1:
            self.calls = self.parent.calls
            self.parent.calls += 1
        self._record_call_started(event, elapsed)

    def _record_end_of_thinking(self, _event: ReasoningFinished, _elapsed: float) -> None:
        """Records nothing: the report of the request has the end of the whole."""

    def _record_task_finished(self, event: TaskFinished, _elapsed: float) -> None:
        self._find_agent().report.tasks.append((event.task.outcome, event.task.duration_seconds))

    _RECORDS: ClassVar[Mapping[type[Event], Callable[[Any, Any, float], None]]] = {
        **Ledger._RECORDS,
        ModelCallStarted: _record_numbered_call,
        ReasoningFinished: _record_end_of_thinking,
        TaskFinished: _record_task_finished,
    }


class TaskLedgers:
    """The ledgers of the tasks of one request, by their numbers."""

    def __init__(self, parent: Ledger) -> None:
        self._parent = parent
        self._ledgers: dict[int, TaskLedger] = {}

    @property
    def account(self) -> Account:
        """The account of the whole request."""
        return self._parent.account

    def open_task(self, number: int) -> TaskLedger:
        """Opens the ledger of an attempt at a task, by its number in the whole answer."""
        parent = self._parent
        parent.agent = parent.agent or AgentRecord()
        ledger = TaskLedger(
            response_id=parent.response_id,
            arrival_time=parent.arrival_time,
            clock=parent.clock,
            account=TaskAccount(number=number, whole=parent.account),
            attempts=parent.attempts,
            agent=AgentRecord(parent.agent.report),
            number=number,
            parent=parent,
        )
        self._ledgers[number] = ledger
        return ledger

    def find(self, number: int) -> TaskLedger:
        """Returns the ledger of the task with this number."""
        return self._ledgers[number]

    def interrupt(self) -> None:
        """Closes the attempts at model calls that are in progress, because the whole request ends."""
        elapsed = self._parent.elapsed_seconds()
        for ledger in self._ledgers.values():
            ledger.interrupt(elapsed)
