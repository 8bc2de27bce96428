"""`AgentRecord`: the steps and the tool calls of a request that the agent serves, and the time that tools took."""

from reasoning_grpc.domain import AgentReport
from reasoning_grpc.domain.events import ReasoningFinished, StepFinished, ToolFinished


class AgentRecord:
    """What the agent has done for a request so far."""

    __slots__ = ("_running", "_since", "report", "tool_seconds")

    def __init__(self) -> None:
        self.report = AgentReport()
        self.tool_seconds = 0.0
        """The time in which at least one tool ran."""
        self._running = 0
        self._since = 0.0

    def start_tool(self, elapsed: float) -> None:
        """Records that a tool began; several may run at once."""
        if not self._running:
            self._since = elapsed
        self._running += 1

    def finish_tool(self, event: ToolFinished, elapsed: float) -> None:
        """Records that a tool has ended."""
        self._running -= 1
        if not self._running:
            self.tool_seconds += elapsed - self._since
        execution = event.execution
        self.report.tool_calls.append((execution.name, execution.status, execution.duration_seconds))

    def finish_step(self, event: StepFinished) -> None:
        """Records the outcome of a step."""
        self.report.step_outcomes.append(event.outcome)

    def finish(self, event: ReasoningFinished) -> None:
        """Records why the agent stopped thinking."""
        self.report.end = event.reason
