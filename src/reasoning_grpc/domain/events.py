"""What a stream yields: one small dataclass a kind.

A model call yields `ModelEvent`s: deltas as they arrive, `AttemptSwitched` where
an attempt failed before its first delta, and `ModelFinished` once, last, when the
upstream gave a finish reason. The engine yields `StreamEvent`s, each around an
`Event`: `Started` first, `Completed` last and only when all went well.
"""

from dataclasses import dataclass, field

from reasoning_grpc.domain import (
    Attempt,
    Cost,
    EffectiveSetting,
    FinishReason,
    ModelCallPurpose,
    NextAction,
    ReasoningEnd,
    RouteDecision,
    StepOutcome,
    Timings,
    ToolCall,
    ToolExecution,
    Usage,
)
from reasoning_grpc.domain.usage import ModelCallUsage


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """A piece of the model's own reasoning; a signature ends the part it belongs to."""

    text: str = ""
    redacted: bytes = b""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class AlternativeToken:
    """A token that the model might have picked instead."""

    token: str
    logprob: float
    raw_bytes: bytes = b""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer and how likely it was."""

    token: str
    logprob: float
    raw_bytes: bytes = b""
    alternatives: tuple[AlternativeToken, ...] = ()


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """A piece of the answer; a signature ends the part it belongs to."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    refusal: bool = False
    signature: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call of one of the caller's tools; the name comes in the first piece only."""

    call_id: str
    index: int
    name: str = ""
    arguments: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class UnshownDelta:
    """A piece of what a model answered to ourselves: nobody is shown it, but it is paid for."""

    text: str


@dataclass(frozen=True, slots=True)
class AttemptSwitched:
    """An attempt at a model call failed before its first delta; another follows after `delay_seconds`."""

    from_model: str
    to_model: str
    next_attempt: int
    failure: str
    http_status: int = 0
    delay_seconds: float = 0.0
    reached: bool = True
    """Whether the upstream got the request, so that money may have been spent."""
    usage: Usage | None = None
    """What the failed attempt used, where it is known."""
    effective_settings: tuple[EffectiveSetting, ...] = ()
    """Settings that take effect otherwise than requested because of `to_model`."""


@dataclass(frozen=True, slots=True)
class ModelFinished:
    """A model call ended, with the finish reason that the upstream really sent."""

    model: str
    finish_reason: FinishReason
    provider_finish_reason: str
    usage: Usage
    upstream_seconds: float = 0.0
    """Time spent waiting for the upstream."""


Delta = ReasoningDelta | ContentDelta | ToolCallDelta
ModelEvent = Delta | AttemptSwitched | ModelFinished


@dataclass(frozen=True, slots=True)
class Started:
    """The route is decided."""

    response_id: str
    route_decision: RouteDecision
    model: str
    trace_id: str = ""
    effective_settings: tuple[EffectiveSetting, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelCallStarted:
    """A model call begins (attempt 1), or is attempted again."""

    purpose: ModelCallPurpose
    model: str
    attempt: int = 1
    input_tokens: int = field(default=0, compare=False)
    """About so many; what counts if nobody else counts them."""


@dataclass(frozen=True, slots=True)
class ModelCallFinished:
    """A model call ended well."""

    purpose: ModelCallPurpose
    model: str
    attempt: int
    finish_reason: FinishReason
    provider_finish_reason: str
    usage: Usage
    upstream_seconds: float = 0.0
    omitted_messages: int = 0
    """How many were left out of the call, so that it fits the context window."""
    omitted_tokens: int = 0
    """About so many."""


@dataclass(frozen=True, slots=True)
class ModelCallFailed:
    """A model call failed, and the answer does without it."""

    purpose: ModelCallPurpose
    model: str
    attempt: int
    failure: str
    """The reason of the error."""
    http_status: int = 0
    reached: bool = True
    """Whether the upstream got the request, so that money may have been spent."""
    usage: Usage | None = None
    """What it used, where that is known."""


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The agent begins a step."""

    number: int
    max_steps: int


@dataclass(frozen=True, slots=True)
class StepPlanned:
    """The agent knows what it wants to do in this step."""

    thought: str
    next_action: NextAction
    tool_calls: tuple[ToolCall, ...] = ()
    concurrent: bool = False
    usage: Usage | None = None
    """Of this step's model calls."""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool begins to run."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool has ended."""

    execution: ToolExecution


@dataclass(frozen=True, slots=True)
class StepFinished:
    """The agent ended a step."""

    outcome: StepOutcome
    usage: Usage | None = None
    """Of its model calls; None: it used none."""


@dataclass(frozen=True, slots=True)
class ReasoningFinished:
    """The agent stopped thinking; the answer follows."""

    reason: ReasoningEnd
    step_count: int
    tool_call_count: int
    usage: Usage | None
    """Of all model calls so far."""
    cost: Cost | None
    duration_seconds: float


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing else happened for the time asked for."""


@dataclass(frozen=True, slots=True)
class Completed:
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
AgentEvent = StepStarted | StepPlanned | ToolStarted | ToolFinished | StepFinished | ReasoningFinished
Event = Started | ModelCallEvent | AgentEvent | Delta | UnshownDelta | Heartbeat | Completed


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event and its place in the stream."""

    sequence: int
    """0, 1, 2, ...; a heartbeat repeats that of the event before it."""
    elapsed_seconds: float
    call: int
    event: Event
    step: int = 0
