"""The events of a stream: one small dataclass for each kind.

An attempt at a model call yields `ModelEvent`s: deltas as they arrive, and one `ModelFinished` at the end, when the
upstream sent a finish reason. The engine yields `StreamEvent`s, each of which holds an `Event`: `Started` comes first,
and `Completed` comes last, only when the request succeeded.
"""

from collections.abc import Callable

from msgspec import Struct, field

from reasoning_grpc.domain import (
    Attempt,
    Cost,
    EffectiveSetting,
    FinishReason,
    ModelCallPurpose,
    NextAction,
    PausedRun,
    PlannedTask,
    Prices,
    ReasoningEnd,
    RouteChangeCause,
    RouteDecision,
    StepOutcome,
    Task,
    Timings,
    ToolCall,
    ToolExecution,
    Usage,
)
from reasoning_grpc.domain.usage import ModelCallUsage, UsageMeter


class ReasoningDelta(Struct, frozen=True):
    """A delta of the model's own reasoning. A signature ends the part that the delta belongs to."""

    text: str = ""
    redacted: bytes = b""
    signature: str = ""


class AlternativeToken(Struct, frozen=True):
    """A token that the model might have chosen instead."""

    token: str
    logprob: float
    raw_bytes: bytes = b""


class TokenLogprob(Struct, frozen=True):
    """A token of the answer, and the logarithm of its probability."""

    token: str
    logprob: float
    raw_bytes: bytes = b""
    alternatives: tuple[AlternativeToken, ...] = ()


class ContentDelta(Struct, frozen=True):
    """A delta of the answer. A signature ends the part that the delta belongs to."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    refusal: bool = False
    signature: str = ""


class ToolCallDelta(Struct, frozen=True):
    """A delta of a call of one of the caller's tools. Only the first delta of a call has its name."""

    call_id: str
    index: int
    name: str = ""
    arguments: str = ""
    signature: str = ""


class InternalDelta(Struct, frozen=True):
    """A delta of an answer that only the server reads. It has a cost, but no caller receives it."""

    text: str


class AttemptSwitched(Struct, frozen=True):
    """An attempt at a model call failed before its first delta. Another attempt follows after `delay_seconds`."""

    from_model: str
    to_model: str
    next_attempt: int
    failure: str
    http_status: int = 0
    delay_seconds: float = 0.0
    is_upstream_reached: bool = True
    """Whether the upstream received the request, so that the attempt may have a cost."""
    usage: Usage | None = None
    """Tokens that the failed attempt used. None when they are not known."""
    effective_settings: tuple[EffectiveSetting, ...] = ()
    """Settings that take effect otherwise than requested, because `to_model` answers."""


class ModelFinished(Struct, frozen=True):
    """A model call ended, with a finish reason that the upstream really sent."""

    model: str
    finish_reason: FinishReason
    provider_finish_reason: str
    usage: Usage
    upstream_seconds: float = 0.0
    """Time spent waiting for the upstream."""


Delta = ReasoningDelta | ContentDelta | ToolCallDelta
ModelEvent = Delta | ModelFinished


class Started(Struct, frozen=True):
    """The route is decided."""

    response_id: str
    route_decision: RouteDecision
    model: str
    trace_id: str = ""
    effective_settings: tuple[EffectiveSetting, ...] = ()


class ModelCallStarted(Struct, frozen=True, eq=False):
    """A model call starts (attempt 1), or another attempt at it does."""

    purpose: ModelCallPurpose
    model: str
    attempt: int = 1
    estimate_prompt_tokens: Callable[[], int] = int
    """Estimates the tokens of the prompt. They count when the upstream does not report its own count."""
    meter: UsageMeter = field(default_factory=UsageMeter)
    """The usage that the provider has counted so far in the attempt."""
    prices: Prices = Prices()
    """The prices of the model when the attempt begins; the model may leave the table while it answers."""

    def __eq__(self, other: object) -> bool:
        """Returns whether the other event says the same to a client; the other fields are the server's own."""
        if not isinstance(other, ModelCallStarted):
            return NotImplemented
        return (self.purpose, self.model, self.attempt) == (other.purpose, other.model, other.attempt)

    def __hash__(self) -> int:
        return hash((self.purpose, self.model, self.attempt))


class ModelCallFinished(Struct, frozen=True):
    """A model call succeeded."""

    purpose: ModelCallPurpose
    model: str
    attempt: int
    finish_reason: FinishReason
    provider_finish_reason: str
    usage: Usage
    upstream_seconds: float = 0.0
    omitted_messages: int = 0
    """Number of messages that were left out of the call to fit the context window."""
    omitted_tokens: int = 0
    """Estimated tokens of these messages."""


class ModelCallFailed(Struct, frozen=True):
    """A model call failed, and the answer does without it."""

    purpose: ModelCallPurpose
    model: str
    attempt: int
    failure: str
    """The reason of the error that ended the call."""
    http_status: int = 0
    is_upstream_reached: bool = True
    """Whether the upstream received the request, so that the call may have a cost."""
    usage: Usage | None = None
    """Tokens that the call used. None when they are not known."""


class StepStarted(Struct, frozen=True):
    """The agent starts a step."""

    number: int
    max_steps: int


class StepPlanned(Struct, frozen=True):
    """The agent has planned a step."""

    thought: str
    next_action: NextAction
    tool_calls: tuple[ToolCall, ...] = ()
    concurrent: bool = False
    usage: Usage | None = None
    """Tokens of this step's model calls so far."""


class ToolStarted(Struct, frozen=True):
    """A tool starts to run."""

    call: ToolCall


class ToolFinished(Struct, frozen=True):
    """A tool has ended."""

    execution: ToolExecution


class StepFinished(Struct, frozen=True):
    """The agent ended a step."""

    outcome: StepOutcome
    usage: Usage | None = None
    """Tokens of the step's model calls. None when it used none."""


class ReasoningFinished(Struct, frozen=True):
    """The agent stopped thinking; the answer follows."""

    reason: ReasoningEnd
    step_count: int
    tool_call_count: int
    usage: Usage | None
    """Tokens of all model calls so far. None when they used none."""
    cost: Cost | None
    """Cost of all model calls so far. None when a price is not known."""
    duration_seconds: float


class RunPaused(Struct, frozen=True):
    """The run of the agent waits for the results of tool calls; no model call follows."""

    paused_run: PausedRun
    model: str
    """Name of the model that the run uses."""


class PlanCreated(Struct, frozen=True):
    """The planner has split the request into tasks."""

    revision: int
    tasks: tuple[PlannedTask, ...]
    max_parallel_tasks: int


class TaskStarted(Struct, frozen=True):
    """An attempt at a task starts."""

    id: str
    attempt: int
    model: str


class TaskFinished(Struct, frozen=True):
    """An attempt at a task has ended, or a task ended that never began."""

    task: Task
    """It has no steps and no end of thinking, because events of their own have reported them."""


class RouteChanged(Struct, frozen=True):
    """The reasoning agent answers, because the planner gave no plan that can be used."""

    route_decision: RouteDecision
    cause: RouteChangeCause


class Heartbeat(Struct, frozen=True):
    """No other event was sent for the requested interval."""


class Completed(Struct, frozen=True):
    """The answer is complete."""

    finish_reason: FinishReason
    provider_finish_reason: str
    model: str
    usage: Usage
    model_calls: tuple[ModelCallUsage, ...]
    cost: Cost | None
    timings: Timings
    attempts: tuple[Attempt, ...]


ModelCallEvent = ModelCallStarted | AttemptSwitched | ModelCallFinished | ModelCallFailed
AgentEvent = StepStarted | StepPlanned | ToolStarted | ToolFinished | StepFinished | ReasoningFinished | RunPaused
TaskEvent = PlanCreated | TaskStarted | TaskFinished | RouteChanged
Event = Started | ModelCallEvent | AgentEvent | TaskEvent | Delta | InternalDelta | Heartbeat | Completed


class EventOfTask(Struct, frozen=True):
    """An event of an attempt at a task."""

    task: int
    """Number of the attempt in the whole answer."""
    event: Event


class StreamEvent(Struct, frozen=True):
    """An event, and its place in the stream."""

    sequence: int
    """Position of the event: 0, 1, 2, ... A heartbeat repeats the position of the event before it."""
    elapsed_seconds: float
    """Time from the arrival of the request to the event."""
    call: int
    """Number of the model call that the event belongs to; 0 before the first one."""
    event: Event
    step: int = 0
    task: int = 0
    """Number of the attempt at a task that the event belongs to; 0 outside of tasks."""
