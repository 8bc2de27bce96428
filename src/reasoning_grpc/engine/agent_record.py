"""`AgentRecord`: the steps and the tool calls of a request that the agent serves, and the time that tools took."""

from reasoning_grpc.domain import AgentReport
from reasoning_grpc.domain.events import ReasoningFinished, StepFinished, ToolFinished


class AgentRecord:
    """What the agent has done for a request so far."""

    __slots__ = ("_since", "report", "running", "tool_seconds")

    def __init__(self, report: AgentReport | None = None) -> None:
        """A task adds to the `report` of its request."""
        self.report = AgentReport() if report is None else report
        self.tool_seconds = 0.0
        """The time in which at least one tool ran."""
        self.running = 0
        """The tools that run now."""
        self._since = 0.0

    def start_tool(self, elapsed: float) -> None:
        """Records that a tool began; several may run at once."""
        if not self.running:
            self._since = elapsed
        self.running += 1

    def finish_tool(self, event: ToolFinished, elapsed: float) -> None:
        """Records that a tool has ended."""
        self.running -= 1
        if not self.running:
            self.tool_seconds += elapsed - self._since
        execution = event.execution
        self.report.tool_calls.append((execution.name, execution.status, execution.duration_seconds))

    def finish_step(self, event: StepFinished) -> None:
        """Records the outcome of a step."""
        self.report.step_outcomes.append(event.outcome)

    def finish(self, event: ReasoningFinished) -> None:
        """Records why the agent stopped thinking."""
        self.report.end = event.reason
