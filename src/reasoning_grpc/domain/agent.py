"""The reasoning agent: its limits, and its steps."""

from enum import StrEnum

from msgspec import Struct

from reasoning_grpc.domain.tools import ToolExecution
from reasoning_grpc.domain.usage import Usage


class NextAction(StrEnum):
    """The action that the model wants to take after a thought."""

    CONTINUE = "CONTINUE"
    USE_TOOLS = "USE_TOOLS"
    FINISH = "FINISH"


class StepOutcome(StrEnum):
    """The outcome of a step."""

    DONE = "DONE"
    INVALID_PLAN = "INVALID_PLAN"
    """The model's plan could not be read, even after one repair."""
    STOPPED = "STOPPED"
    """A limit or a deadline stopped the step."""
    PAUSED = "PAUSED"
    """The step waits for results of tool calls that only the caller can give."""
    FAILED = "FAILED"
    """A model call of the step failed, and with it the task. Elsewhere the whole request fails."""


class ReasoningEnd(StrEnum):
    """The reason why the agent stopped thinking."""

    FINISHED = "FINISHED"
    """The model said that it was ready to answer."""
    MAX_STEPS = "MAX_STEPS"
    MAX_TOOL_CALLS = "MAX_TOOL_CALLS"
    TOKEN_BUDGET = "TOKEN_BUDGET"
    COST_BUDGET = "COST_BUDGET"
    DEADLINE = "DEADLINE"
    """Just enough time was left to answer, or the server's own time limit for thinking was reached."""
    STEP_TIMEOUT = "STEP_TIMEOUT"
    LOOP = "LOOP"
    """The model repeated the same tool calls."""
    STEP_FAILED = "STEP_FAILED"
    """A plan could not be read, even after one repair."""
    PAUSED = "PAUSED"
    """The run waits for results of tool calls that only the caller can give."""
    STATE_TOO_LARGE = "STATE_TOO_LARGE"
    """The run had to wait for the caller, but its state is larger than the server allows."""


class AgentOptions(Struct, frozen=True, kw_only=True):
    """The limits that a request sets for the agent. None means the server's own limit."""

    max_steps: int | None = None
    max_tool_calls: int | None = None
    max_tokens: int | None = None
    """Tokens of all model calls before the synthesis."""
    max_cost_nano_usd: int | None = None
    """Cost of all model calls before the synthesis."""
    allowed_tools: frozenset[str] | None = None
    """None means all tools that the caller may use; empty means no tools."""
    step_timeout_seconds: float | None = None
    tool_timeout_seconds: float | None = None
    max_tasks: int | None = None
    """Tasks of a plan. Only orchestration uses it."""


class Step(Struct, frozen=True, kw_only=True):
    """One step of the agent, as it stands in a whole answer."""

    number: int
    thought: str = ""
    next_action: NextAction | None = None
    """None when the plan could not be read."""
    tool_executions: tuple[ToolExecution, ...] = ()
    """The executions, in the order in which the tool calls were planned."""
    outcome: StepOutcome
    usage: Usage | None = None
    """None when the step used no tokens."""
