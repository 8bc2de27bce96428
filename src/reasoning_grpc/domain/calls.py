"""One call to the server: its caller, its deadline, and what its log line reports."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from reasoning_grpc.domain.agent import ReasoningEnd, StepOutcome
from reasoning_grpc.domain.answers import FinishReason
from reasoning_grpc.domain.clock import read_clock
from reasoning_grpc.domain.models import Deployment, Secret
from reasoning_grpc.domain.orchestration import TaskOutcome
from reasoning_grpc.domain.prices import Cost
from reasoning_grpc.domain.quotas import CallerLimits
from reasoning_grpc.domain.routing import RouteDecision
from reasoning_grpc.domain.tools import ToolStatus
from reasoning_grpc.domain.usage import Attempt, ModelCallUsage, Pace, Timings, Usage

if TYPE_CHECKING:  # the commands for clients import these types without the server's dependencies
    from opentelemetry.context import Context

    from reasoning_grpc.domain.errors import Progress

DEFAULT_PRIORITY: Final = 5
_DEADLINE_SLACK_SECONDS: Final = 0.05
_DEADLINE_SLACK_SHARE: Final = 0.01
"""grpc rounds a timeout up by this share when it sends it, so clients stop waiting before the deadline that we know."""


class Caller(msgspec.Struct, frozen=True):
    """A caller of the server, and what it may use."""

    name: str
    allowed_models: frozenset[str] | None = None
    """None means all models."""
    allowed_routes: frozenset[str] | None = None
    """None means all routes."""
    allowed_tools: frozenset[str] | None = None
    """Names of the server's own tools. None means all of them."""
    upstream_keys: Mapping[str, Secret] = msgspec.field(default_factory=dict)
    """Keys of this caller, sent to upstreams in place of the server's: by a model's name, or by "PROVIDER/*"."""
    limits: CallerLimits | None = None
    """None means that nothing is limited."""
    priority: int = DEFAULT_PRIORITY
    """When the server is full, callers with the lowest priority are refused first."""

    def may_use_model(self, model: str) -> bool:
        """Returns whether the caller may use the model with this name."""
        return self.allowed_models is None or model in self.allowed_models

    def use_own_key(self, deployment: Deployment) -> Deployment:
        """Returns the deployment with the caller's own key for it, or as it is when the caller has none."""
        if not self.upstream_keys:
            return deployment
        key = self.upstream_keys.get(deployment.name) or self.upstream_keys.get(f"{deployment.provider}/*")
        return deployment if key is None else replace(deployment, api_key=key, is_callers_key=True)

    def may_use_route(self, route: str) -> bool:
        """Returns whether the caller's requests may take the route with this name."""
        return self.allowed_routes is None or route in self.allowed_routes

    def may_use_tool(self, tool: str) -> bool:
        """Returns whether the server's tool with this name may run for the caller."""
        return self.allowed_tools is None or tool in self.allowed_tools


ANONYMOUS = Caller(name="anonymous")


@dataclass(slots=True)
class AgentReport:
    """The steps of a run of the agent."""

    end: ReasoningEnd | None = None
    """Why the agent stopped thinking. None when the call ended before."""
    step_outcomes: list[StepOutcome] = field(default_factory=list)
    tool_calls: list[tuple[str, ToolStatus, float]] = field(default_factory=list)
    """The name, status and duration in seconds of each tool call."""
    tasks: list[tuple[TaskOutcome, float]] = field(default_factory=list)
    """The outcome and duration in seconds of each attempt at a task."""


@dataclass(slots=True)
class CallReport:
    """The values that the log line and the metrics report at the end of a call. They are set while the call runs."""

    route_decision: RouteDecision | None = None
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    attempts: tuple[Attempt, ...] = ()
    model_usages: Sequence[ModelCallUsage] = ()
    """The tokens of each attempt at a model call."""
    unpriced_model: str = ""
    """A model for which the cost is not known, because a price is not. Empty when there is none."""
    timings: Timings | None = None
    """None when the call did not complete."""
    pace: Pace | None = None
    """None when the call did not complete, or its answer had no more than one delta."""
    agent: AgentReport | None = None
    """None when the agent did not run."""
    continued_state: str = ""
    """The id of the state with which the request continues a paused run. Empty when it continues none."""
    paused_state: str = ""
    """The id of the state of the run when it pauses. Empty when it does not."""
    events: int = 0
    read_progress: "Callable[[], Progress | None]" = lambda: None
    """Reads how far the call has come, for the status of one that fails; None as long as no upstream was reached. It is
    not logged."""
    upstream_message: str = ""
    """The redacted sentence of the provider that refused a model call last, whatever became of the request."""
    required_wire: str = ""
    """The wire on which a provider would have taken a model call that it refused."""


class CallContext(msgspec.Struct, frozen=True, kw_only=True):
    """The context of a request, which is passed down with it."""

    caller: Caller
    request_id: str
    arrival_time: float
    """The time when the request arrived, in seconds of the event loop's clock."""
    queue_seconds: float = 0.0
    """How long the call waited before the server began to work on it."""
    deadline: float | None = None
    """The time when the caller stops waiting, in seconds of the event loop's clock. None means never."""
    metadata: Mapping[str, str] = msgspec.field(default_factory=dict)
    trace: "Context | None" = None
    """The parent of the spans of this call, which is also sent upstream. None when the call is part of no trace."""
    trace_id: str = ""
    """Id of the trace. Empty when the call is part of no trace."""
    peer: str = ""
    """The address of the client, as gRPC writes it, such as ipv4:192.0.2.1:40000."""
    report: CallReport = msgspec.field(default_factory=CallReport)

    def remaining_seconds(self) -> float | None:
        """Returns the time until the deadline, at least zero. Returns None when there is no deadline."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - read_clock())

    def infer_end_status(self) -> str:
        """Returns the status of a call that the client ended before its answer: CANCELLED or DEADLINE_EXCEEDED."""
        return "DEADLINE_EXCEEDED" if self.is_late() else "CANCELLED"

    def is_late(self) -> bool:
        """Whether the deadline is over, or so near that the caller, which stops waiting a little before, has left."""
        if self.deadline is None:
            return False
        slack = _DEADLINE_SLACK_SECONDS + _DEADLINE_SLACK_SHARE * (self.deadline - self.arrival_time)
        return read_clock() > self.deadline - slack
