"""`Schedule`: which tasks may begin, which attempt is made again, and which can never begin.

A task begins when every task that it needs has a result. A task that failed by a passing failure is attempted once
more. What needs a task that ended without a result is blocked: it is planned anew, or skipped. A task that is suspended
begins again only in a request that brings the caller's answers.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from reasoning_grpc.domain import PlannedTask, Task, TaskOutcome
from reasoning_grpc.orchestrator.run_state import EndedTask, SuspendedTask, TaskState

_MOST_ATTEMPTS = 2


@dataclass(slots=True)
class _Entry:
    """A task of the plan, and how far it is."""

    planned: PlannedTask
    attempts: int = 0
    is_running: bool = False
    last: Task | None = None
    """How its last attempt ended; None before that."""
    end: Task | None = None
    """How the task ended; None until no attempt follows."""
    suspended: SuspendedTask | None = None
    """What the task needs to go on. None when it does not wait for the caller."""
    is_answered: bool = False
    """Whether the caller has answered its calls."""

    def is_held(self) -> bool:
        """Returns whether it waits for answers that this request does not have."""
        return self.suspended is not None and not self.is_answered


class Schedule:
    """The tasks of all plans of a request."""

    def __init__(self, max_parallel_tasks: int) -> None:
        self._max_parallel_tasks = max_parallel_tasks
        self._entries: dict[str, _Entry] = {}

    def add_plan(self, tasks: Sequence[PlannedTask]) -> None:
        """Adds the tasks of a plan, which replace those that have not begun."""
        self._entries = {id_: entry for id_, entry in self._entries.items() if entry.attempts or entry.end}
        self._entries |= {task.id: _Entry(task) for task in tasks}

    def start_next(self) -> PlannedTask | None:
        """Starts the first task that may begin now, and returns it; None when there is none."""
        if sum(entry.is_running for entry in self._entries.values()) >= self._max_parallel_tasks:
            return None
        for entry in self._entries.values():
            if entry.is_running or entry.end or entry.is_held():
                continue
            if not all(map(self.has_result, entry.planned.depends_on)):
                continue
            entry.is_running = True
            if entry.suspended is None:
                entry.attempts += 1
            return entry.planned
        return None

    def count_attempts(self, task_id: str) -> int:
        """Returns how often a task has begun."""
        return self._entries[task_id].attempts

    def record_end(self, task: Task, *, may_pass: bool = False) -> None:
        """Records the end of an attempt. Where its failure may pass, the task may be attempted once more."""
        entry = self._entries[task.id]
        entry.is_running, entry.last = False, task
        if not may_pass or entry.attempts >= _MOST_ATTEMPTS:
            entry.end = task

    def suspend(self, task: Task, suspended: SuspendedTask) -> None:
        """Records that an attempt waits for the caller."""
        entry = self._entries[task.id]
        entry.is_running, entry.last, entry.suspended = False, task, suspended

    def take_suspended(self, task_id: str) -> SuspendedTask | None:
        """Returns what a task that begins needs to go on, once; None when it did not wait for the caller."""
        entry = self._entries[task_id]
        suspended, entry.suspended, entry.is_answered = entry.suspended, None, False
        return suspended

    def list_suspended(self) -> list[SuspendedTask]:
        """Returns the tasks that wait for the caller."""
        return [entry.suspended for entry in self._entries.values() if entry.suspended is not None]

    def end_suspended(self) -> None:
        """Ends the tasks that wait for the caller without a result, because the run cannot pause."""
        for entry in self._entries.values():
            if entry.suspended is not None:
                entry.suspended, entry.end = None, entry.last

    def save(self) -> tuple[TaskState, ...]:
        """Returns the tasks, for the state of the run. None is in progress."""
        return tuple(
            TaskState(
                entry.planned,
                entry.attempts,
                None
                if (end := entry.end) is None
                else EndedTask(end.number, end.attempt, end.outcome, end.result, end.stop_reason),
                entry.suspended,
            )
            for entry in self._entries.values()
        )

    def restore(self, tasks: Sequence[TaskState], answered: Collection[str]) -> None:
        """Takes up the tasks of a run that paused. The caller has answered the calls of those with these ids."""
        for each in tasks:
            id_, end = each.planned.id, each.build_end()
            self._entries[id_] = _Entry(
                each.planned,
                attempts=each.attempts,
                last=end,
                end=end,
                suspended=each.suspended,
                is_answered=id_ in answered,
            )

    def give_up(self, task_id: str) -> bool:
        """Ends a task whose second attempt cannot begin, by the end of its first; returns whether there is one."""
        entry = self._entries[task_id]
        entry.is_running, entry.end = False, entry.last
        return entry.end is not None

    def has_result(self, task_id: str) -> bool:
        """Returns whether a task has ended with a result that others can use, whole or in part."""
        end = self._entries[task_id].end
        return end is not None and (end.outcome is TaskOutcome.DONE or bool(end.result))

    def list_waiting(self) -> list[PlannedTask]:
        """Returns the tasks that have not ended and are not in progress."""
        return [entry.planned for entry in self._entries.values() if not entry.is_running and not entry.end]

    def list_blocked(self) -> list[PlannedTask]:
        """Returns the tasks that can never begin, because a task that they need has no result, or can never begin."""
        blocked: dict[str, PlannedTask] = {}
        for entry in self._entries.values():  # each stands behind all that it needs
            needs = entry.planned.depends_on
            if not entry.end and any(need in blocked or self._has_no_result(need) for need in needs):
                blocked[entry.planned.id] = entry.planned
        return list(blocked.values())

    def list_ended(self) -> Iterator[tuple[PlannedTask, Task]]:
        """Yields each task that has ended, and how."""
        return ((entry.planned, entry.end) for entry in self._entries.values() if entry.end)

    def count_rounds(self, task_id: str) -> int:
        """Returns how many times in a row tasks must run until the rest of the plan has run, from this task on."""
        held = self._list_held()
        open_ids = [task.id for task in self.list_waiting() if task.id not in held]
        lengths: dict[str, int] = {task_id: 1}
        for open_id in open_ids:
            needs = self._entries[open_id].planned.depends_on
            if longest := max((lengths[need] for need in needs if need in lengths), default=0):
                lengths[open_id] = longest + 1
        in_line = -(-(len(open_ids) + 1) // self._max_parallel_tasks)
        return max(*lengths.values(), in_line) if len(lengths) > 1 else max(1, in_line)

    def _list_held(self) -> set[str]:
        """Returns the ids of the tasks that cannot begin in this request: they, or tasks they need, are held."""
        held = set[str]()
        for entry in self._entries.values():  # each stands behind all that it needs
            if entry.is_held() or not held.isdisjoint(entry.planned.depends_on):
                held.add(entry.planned.id)
        return held

    def _has_no_result(self, task_id: str) -> bool:
        return self._entries[task_id].end is not None and not self.has_result(task_id)
