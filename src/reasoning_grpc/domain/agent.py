"""The reasoning agent: what limits it, and what it did."""

from dataclasses import dataclass
from enum import StrEnum

from reasoning_grpc.domain.tools import ToolExecution
from reasoning_grpc.domain.usage import Usage


class NextAction(StrEnum):
    """What the model wants to do after a thought."""

    CONTINUE = "CONTINUE"
    USE_TOOLS = "USE_TOOLS"
    FINISH = "FINISH"


class StepOutcome(StrEnum):
    """How a step ended."""

    DONE = "DONE"
    INVALID_PLAN = "INVALID_PLAN"
    """The model's plan could not be read, even after one repair."""
    STOPPED = "STOPPED"
    """By a limit or a deadline."""


class ReasoningEnd(StrEnum):
    """Why the agent stopped thinking."""

    FINISHED = "FINISHED"
    """The model said that it was ready to answer."""
    MAX_STEPS = "MAX_STEPS"
    MAX_TOOL_CALLS = "MAX_TOOL_CALLS"
    TOKEN_BUDGET = "TOKEN_BUDGET"
    COST_BUDGET = "COST_BUDGET"
    DEADLINE = "DEADLINE"
    """There is just enough time left to answer."""
    STEP_TIMEOUT = "STEP_TIMEOUT"
    LOOP = "LOOP"
    """The model repeated the same tool calls."""
    STEP_FAILED = "STEP_FAILED"
    """A plan could not be read, even after one repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions:
    """What a request says of the agent; None: the server's own limit."""

    max_steps: int | None = None
    max_tool_calls: int | None = None
    max_tokens: int | None = None
    """In all model calls before the synthesis."""
    max_cost_nano_usd: int | None = None
    """The same in money."""
    allowed_tools: frozenset[str] | None = None
    """None: all that the caller may use; empty: none."""
    step_timeout_seconds: float | None = None
    tool_timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the agent, as a whole answer returns it."""

    number: int
    thought: str = ""
    next_action: NextAction | None = None
    """None: the plan could not be read."""
    tool_executions: tuple[ToolExecution, ...] = ()
    """In the order in which they were planned."""
    outcome: StepOutcome
    usage: Usage | None = None
