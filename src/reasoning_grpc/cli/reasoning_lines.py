"""`ReasoningLines`: describes in lines for a person what the reasoning agent does."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf.duration_pb2 import Duration

from reasoning_grpc.v1 import agent_pb2, events_pb2

_MAX_LINE_CHARACTERS: Final = 160
_MAX_LINES: Final = 4
_INDENT: Final = "    "

_ENDS: Final = {
    agent_pb2.REASONING_END_FINISHED: "ready to answer",
    agent_pb2.REASONING_END_MAX_STEPS: "no more steps are allowed",
    agent_pb2.REASONING_END_MAX_TOOL_CALLS: "no more tool calls are allowed",
    agent_pb2.REASONING_END_TOKEN_BUDGET: "the token limit is reached",
    agent_pb2.REASONING_END_COST_BUDGET: "the cost limit is reached",
    agent_pb2.REASONING_END_DEADLINE: "only enough time to answer is left",
    agent_pb2.REASONING_END_LOOP: "it repeated the same tool calls",
    agent_pb2.REASONING_END_STEP_FAILED: "a step could not be read",
    agent_pb2.REASONING_END_STEP_TIMEOUT: "a step took too long",
    agent_pb2.REASONING_END_PAUSED: "it waits for the caller",
    agent_pb2.REASONING_END_STATE_TOO_LARGE: "it is too large to wait for the caller",
}
_ACTIONS: Final = {
    agent_pb2.NEXT_ACTION_CONTINUE: "continues to think",
    agent_pb2.NEXT_ACTION_USE_TOOLS: "uses tools",
    agent_pb2.NEXT_ACTION_FINISH: "is ready to answer",
}
_OUTCOMES: Final = {
    agent_pb2.STEP_OUTCOME_INVALID_PLAN: "its plan could not be read",
    agent_pb2.STEP_OUTCOME_FAILED: "its model call failed",
}
_STATUSES: Final = {
    agent_pb2.TOOL_STATUS_OK: "ok",
    agent_pb2.TOOL_STATUS_FAILED: "failed",
    agent_pb2.TOOL_STATUS_TIMED_OUT: "timed out",
    agent_pb2.TOOL_STATUS_INVALID_ARGUMENTS: "invalid arguments",
    agent_pb2.TOOL_STATUS_NOT_AVAILABLE: "not available",
    agent_pb2.TOOL_STATUS_CANCELLED: "cancelled",
    agent_pb2.TOOL_STATUS_INPUT_REQUIRED: "needs input",
    agent_pb2.TOOL_STATUS_NOT_APPROVED: "not approved",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One or more lines of text, with their style."""

    text: str
    style: str = "dim"


class ReasoningLines:
    """Describes one run of the agent. Tool calls are numbered, so that each result can be matched with its call."""

    def __init__(self) -> None:
        self._step = ""
        self._has_plan = True
        self._numbers: dict[str, int] = {}
        self._running: dict[str, str] = {}

    def describe(self, event: events_pb2.StreamCompleteResponse) -> Line | None:
        """Returns the line about an event, or None; it must be called with every event of the run, in order."""
        match event.WhichOneof("kind"):
            case "step_started":
                self._step = f"step {event.step} of {event.step_started.max_steps}"
                self._has_plan = False
                return None
            case "step_planned":
                self._has_plan = True
                return self._describe_plan(event.step_planned)
            case "tool_started":
                return self._describe_call(event.tool_started)
            case "tool_finished":
                return self._describe_result(event.tool_finished.execution)
            case "step_finished" if not self._has_plan:
                outcome = _OUTCOMES.get(event.step_finished.outcome, "was stopped")
                return Line(f"{self._step}: {outcome}", "yellow")
            case "reasoning_finished":
                return Line(_describe_end(event.reasoning_finished))
            case _:
                return None

    def describe_work(self) -> str:
        """Returns the current step and the tools that run in it."""
        return ", ".join((self._step, *self._running.values()))

    def _describe_plan(self, planned: events_pb2.StepPlanned) -> Line:
        thought = planned.thought.strip() or _ACTIONS.get(planned.next_action, "")
        return Line(f"{self._step}: {_indent(thought.splitlines())}", "")

    def _describe_call(self, started: events_pb2.ToolStarted) -> Line:
        number = self._numbers.setdefault(started.call_id, len(self._numbers) + 1)
        self._running[started.call_id] = started.name
        return Line(f"  tool {number}: {started.name} {_shorten(' '.join(started.arguments.split()))}", "cyan")

    def _describe_result(self, execution: agent_pb2.ToolExecution) -> Line:
        self._running.pop(execution.call_id, None)
        number, status = self._numbers.get(execution.call_id, 0), _STATUSES.get(execution.status, "ended")
        head = f"  tool {number}: {status} in {format_duration(execution.duration)}"
        result = select_lines(f"{execution.error} {execution.result}")
        is_ok = execution.status == agent_pb2.TOOL_STATUS_OK
        return Line(f"{head}: {_indent(result)}" if result else head, "dim" if is_ok else "yellow")


def _describe_end(finished: agent_pb2.ReasoningFinished) -> str:
    steps, calls = _format_count(finished.step_count, "step"), _format_count(finished.tool_call_count, "tool call")
    reason = _ENDS.get(finished.reason, "stopped")
    return f"thought for {format_duration(finished.duration)}, {steps}, {calls}: {reason}"


def _format_count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def format_duration(duration: Duration) -> str:
    """Returns a duration in seconds, or in milliseconds where it is short."""
    milliseconds = duration.ToMicroseconds() / 1000
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.{1 if milliseconds < 10 else 0}f} ms"


def _indent(lines: Iterable[str]) -> str:
    return f"\n{_INDENT}".join(lines)


def select_lines(text: str) -> list[str]:
    """Returns the first lines of a text, each of them shortened."""
    lines = text.strip().splitlines()
    return [*map(_shorten, lines[:_MAX_LINES]), *(["..."] if len(lines) > _MAX_LINES else [])]


def _shorten(line: str) -> str:
    return line if len(line) <= _MAX_LINE_CHARACTERS else f"{line[: _MAX_LINE_CHARACTERS - 3]}..."
