"""`TaskLines`: describes in lines for a person what the tasks of a request do, which run at the same time."""

from collections.abc import Iterator
from typing import Final

from reasoning_grpc.cli.reasoning_lines import Line, ReasoningLines, format_duration, select_lines
from reasoning_grpc.v1 import events_pb2, orchestration_pb2

_OUTCOMES: Final = {
    orchestration_pb2.TASK_OUTCOME_DONE: "done",
    orchestration_pb2.TASK_OUTCOME_FAILED: "failed",
    orchestration_pb2.TASK_OUTCOME_SKIPPED: "skipped",
    orchestration_pb2.TASK_OUTCOME_STOPPED: "stopped",
    orchestration_pb2.TASK_OUTCOME_SUSPENDED: "waits for you",
}


class TaskLines:
    """Describes one request with tasks. Each line names its task."""

    def __init__(self) -> None:
        self._lines: dict[int, ReasoningLines] = {}
        self._running: dict[int, str] = {}
        """The ids of the tasks in progress, by the numbers of their attempts."""

    def describe(self, event: events_pb2.StreamCompleteResponse) -> Iterator[Line]:
        """Yields the lines about an event; it must be called with every event of the stream, in order."""
        match event.WhichOneof("kind"):
            case "plan_created":
                yield Line(_describe_plan(event.plan_created), "")
            case "route_changed":
                yield Line(event.route_changed.route_decision.reason, "yellow")
            case "task_started":
                self._running[event.task] = event.task_started.id
                again = f", attempt {event.task_started.attempt}" if event.task_started.attempt > 1 else ""
                yield Line(f"{event.task_started.id}: begins{again}")
            case "task_finished":
                self._running.pop(event.task, None)
                yield _describe_end(event.task_finished.task)
            case _ if event.task:
                lines = self._lines.setdefault(event.task, ReasoningLines())
                if (line := lines.describe(event)) is not None:
                    yield Line(f"{self._running.get(event.task, '')}: {line.text}", line.style)

    def describe_work(self) -> str:
        """Returns the tasks in progress."""
        return "working on " + " ".join(self._running.values()) if self._running else "planning"


def _describe_plan(plan: orchestration_pb2.PlanCreated) -> str:
    lines = [f"plan: {len(plan.tasks)} task{'' if len(plan.tasks) == 1 else 's'}"]
    for task in plan.tasks:
        after = f" (after {', '.join(task.depends_on)})" if task.depends_on else ""
        lines.append(f"  {task.id}{after}: {' '.join(select_lines(task.goal))}")
    return "\n".join(lines)


def _describe_end(task: orchestration_pb2.Task) -> Line:
    is_done = task.outcome == orchestration_pb2.TASK_OUTCOME_DONE
    text = f"{task.id}: {_OUTCOMES.get(task.outcome, 'ended')}"
    if task.attempt:
        text += f" in {format_duration(task.duration)}"
    if result := select_lines(task.result):
        text += ": " + "\n    ".join(result)
    return Line(text, "dim" if is_done else "yellow")
