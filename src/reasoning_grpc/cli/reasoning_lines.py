"""`ReasoningLines`: what the reasoning agent does, in lines for a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.v1 import agent_pb2, events_pb2

_LONGEST_LINE: Final = 160
_MOST_LINES: Final = 4
_INDENT: Final = "    "

_ENDS: Final = {
    agent_pb2.REASONING_END_FINISHED: "ready to answer",
    agent_pb2.REASONING_END_MAX_STEPS: "no more steps are allowed",
    agent_pb2.REASONING_END_MAX_TOOL_CALLS: "no more tool calls are allowed",
    agent_pb2.REASONING_END_TOKEN_BUDGET: "the tokens are used up",
    agent_pb2.REASONING_END_COST_BUDGET: "the money is used up",
    agent_pb2.REASONING_END_DEADLINE: "just enough time is left to answer",
    agent_pb2.REASONING_END_LOOP: "it repeated the same tool calls",
    agent_pb2.REASONING_END_STEP_FAILED: "a step could not be read",
    agent_pb2.REASONING_END_STEP_TIMEOUT: "a step took too long",
}
_ACTIONS: Final = {
    agent_pb2.NEXT_ACTION_CONTINUE: "thinks on",
    agent_pb2.NEXT_ACTION_USE_TOOLS: "uses tools",
    agent_pb2.NEXT_ACTION_FINISH: "is ready to answer",
}
_STATUSES: Final = {
    agent_pb2.TOOL_STATUS_OK: "ok",
    agent_pb2.TOOL_STATUS_FAILED: "failed",
    agent_pb2.TOOL_STATUS_TIMED_OUT: "timed out",
    agent_pb2.TOOL_STATUS_INVALID_ARGUMENTS: "invalid arguments",
    agent_pb2.TOOL_STATUS_NOT_AVAILABLE: "not available",
    agent_pb2.TOOL_STATUS_CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or a few."""

    text: str
    style: str = "dim"


class ReasoningLines:
    """Tells of one run; tool calls are numbered, so that of two at once each result has its call."""

    def __init__(self) -> None:
        self._step = ""
        self._planned = True
        self._numbers: dict[str, int] = {}
        self._running: dict[str, str] = {}

    def line(self, event: events_pb2.StreamCompleteResponse) -> Line | None:
        """What is to be told of an event; to be asked for every one."""
        match event.WhichOneof("kind"):
            case "step_started":
                self._step = f"step {event.step} of {event.step_started.max_steps}"
                self._planned = False
                return None
            case "step_planned":
                self._planned = True
                return self._plan(event.step_planned)
            case "tool_started":
                return self._tool_started(event.tool_started)
            case "tool_finished":
                return self._tool_finished(event.tool_finished.execution)
            case "step_finished" if not self._planned:
                unread = event.step_finished.outcome == agent_pb2.STEP_OUTCOME_INVALID_PLAN
                return Line(f"{self._step}: {'its plan could not be read' if unread else 'was stopped'}", "yellow")
            case "reasoning_finished":
                return Line(_end(event.reasoning_finished))
            case _:
                return None

    def under_way(self) -> str:
        """What is being done in the step that was begun last."""
        return ", ".join((self._step, *self._running.values()))

    def _plan(self, planned: events_pb2.StepPlanned) -> Line:
        said = planned.thought.strip() or _ACTIONS.get(planned.next_action, "")
        return Line(f"{self._step}: {_indented(said.splitlines())}", "")

    def _tool_started(self, started: events_pb2.ToolStarted) -> Line:
        number = self._numbers.setdefault(started.call_id, len(self._numbers) + 1)
        self._running[started.call_id] = started.name
        return Line(f"  tool {number}: {started.name} {_cut(' '.join(started.arguments.split()))}", "cyan")

    def _tool_finished(self, execution: agent_pb2.ToolExecution) -> Line:
        self._running.pop(execution.call_id, None)
        number, status = self._numbers.get(execution.call_id, 0), _STATUSES.get(execution.status, "ended")
        head = f"  tool {number}: {status} in {_time(execution.duration)}"
        gave = _few(f"{execution.error} {execution.result}")
        well = execution.status == agent_pb2.TOOL_STATUS_OK
        return Line(f"{head}: {_indented(gave)}" if gave else head, "dim" if well else "yellow")


def _end(finished: agent_pb2.ReasoningFinished) -> str:
    steps, calls = _count(finished.step_count, "step"), _count(finished.tool_call_count, "tool call")
    why = _ENDS.get(finished.reason, "stopped")
    return f"thought for {_time(finished.duration)}, {steps}, {calls}: {why}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _time(duration: Duration) -> str:
    milliseconds = duration.ToMicroseconds() / 1000
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{1 if milliseconds < 10 else 0}f} ms"


def _indented(lines: Iterable[str]) -> str:
    return f"\n{_INDENT}".join(lines)


def _few(text: str) -> list[str]:
    """The first lines of a text, none of them long."""
    lines = text.strip().splitlines()
    return [*map(_cut, lines[:_MOST_LINES]), *(["..."] if len(lines) > _MOST_LINES else [])]


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 3]}..."
