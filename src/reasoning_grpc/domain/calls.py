"""One call: who makes it, until when, and what is known of it so far."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from reasoning_grpc.domain.answers import FinishReason
from reasoning_grpc.domain.models import Secret
from reasoning_grpc.domain.prices import Cost
from reasoning_grpc.domain.routing import RouteDecision
from reasoning_grpc.domain.usage import Attempt, Usage

if TYPE_CHECKING:  # the client's commands read these types without the server's dependencies
    from opentelemetry.context import Context

_DEADLINE_SLACK_SECONDS: Final = 0.05
_DEADLINE_SLACK_SHARE: Final = 0.01
"""grpc rounds a timeout up by as much when it sends it, so that clients give up before the deadline that we know."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, what they may use, and with which key."""

    name: str
    allowed_models: frozenset[str] | None = None
    """None: all."""
    allowed_routes: frozenset[str] | None = None
    """None: all."""
    allowed_tools: frozenset[str] | None = None
    """Of the server's own tools. None: all."""
    upstream_key: Secret | None = None
    """What a LiteLLM proxy gets instead of the server's own key; None: the server's own."""

    def may_use(self, model: str) -> bool:
        """Whether this caller may use the model of this name."""
        return self.allowed_models is None or model in self.allowed_models

    def may_take(self, route: str) -> bool:
        """Whether this caller's requests may take the route of this name."""
        return self.allowed_routes is None or route in self.allowed_routes

    def may_run(self, tool: str) -> bool:
        """Whether the server's tool of this name may be run for this caller."""
        return self.allowed_tools is None or tool in self.allowed_tools


ANONYMOUS = Caller(name="anonymous")


@dataclass(slots=True)
class CallReport:
    """What the log says of a call when it ends; filled on the way."""

    route_decision: RouteDecision | None = None
    model: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    attempts: tuple[Attempt, ...] = ()
    events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """What travels down with a request."""

    caller: Caller
    request_id: str
    arrived: float
    """When the request arrived, in seconds of the event loop's clock."""
    deadline: float | None = None
    """When the caller stops waiting, in seconds of the event loop's clock; None: never."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    trace: "Context | None" = None
    """What is the parent of the spans made for this call, and goes on upstream; None: it is part of no trace."""
    trace_id: str = ""
    """Of `trace`; empty when it is part of no trace."""
    report: CallReport = field(default_factory=CallReport)

    def remaining_seconds(self) -> float | None:
        """Time until the deadline, not below zero; None when there is none."""
        if self.deadline is None:
            return None
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    def cut_short_by(self) -> str:
        """Why the call ended before its answer, when nobody here ended it: CANCELLED or DEADLINE_EXCEEDED."""
        if self.deadline is None:
            return "CANCELLED"
        slack = _DEADLINE_SLACK_SECONDS + _DEADLINE_SLACK_SHARE * (self.deadline - self.arrived)
        late = asyncio.get_running_loop().time() > self.deadline - slack
        return "DEADLINE_EXCEEDED" if late else "CANCELLED"
