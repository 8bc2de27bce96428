"""How a request is routed, and why."""

from dataclasses import dataclass
from enum import StrEnum

from reasoning_grpc.domain.answers import AnswerFlaw
from reasoning_grpc.domain.prices import Cost
from reasoning_grpc.domain.usage import Usage


class RoutingMode(StrEnum):
    """A path that serves requests."""

    PASSTHROUGH = "PASSTHROUGH"
    REASONING = "REASONING"
    ORCHESTRATION = "ORCHESTRATION"
    AUTO = "AUTO"
    """A classifier decides; never the mode of a decision that was acted on."""


class RoutingPreference(StrEnum):
    """What to favour where several models could serve."""

    QUALITY = "QUALITY"
    BALANCED = "BALANCED"
    COST = "COST"


class RouteSource(StrEnum):
    """What decided a route."""

    RULE = "RULE"
    REQUEST = "REQUEST"
    METADATA = "METADATA"
    CLASSIFIER = "CLASSIFIER"
    CLASSIFIER_FALLBACK = "CLASSIFIER_FALLBACK"
    CACHE = "CACHE"
    DEFAULT = "DEFAULT"


class RouteRejectionCause(StrEnum):
    """Why a route was not chosen."""

    NOT_CHOSEN = "NOT_CHOSEN"
    """The classifier chose another route."""
    CALLER_TOOLS = "CALLER_TOOLS"
    """The route cannot serve a request with tools of the caller's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The work of the model that classified a request."""

    model: str
    """Who was asked, or would have been."""
    routes: tuple[str, ...]
    """What it had to choose from."""
    skipped: bool = False
    """Nobody was asked, because only rules were wanted."""
    latency_seconds: float | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    failure: str = ""
    """The reason of the error that kept it from answering."""
    flaw: AnswerFlaw | None = None
    """What kept its answer from being used."""
    failure_detail: str = ""
    """Either of the two in a short English sentence."""


@dataclass(frozen=True, slots=True)
class RejectedRoute:
    """A route that the router considered and did not choose."""

    route: str
    cause: RouteRejectionCause
    reason: str
    """Explains the cause in a short English sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Which path and model serve a request, and what decided it."""

    mode: RoutingMode
    model: str
    source: RouteSource
    reason: str
    """A short English sentence."""
    rule_id: str = ""
    """Of the rule that decided, or that had the classifier decide."""
    own_route: str = ""
    """Name of the configured route; empty: the built-in one of the mode."""
    requested_mode: RoutingMode | None = None
    """The mode that was requested, when another one was chosen."""
    requested_route: str = ""
    """The route that was requested, when another one was chosen."""
    classification: Classification | None = None
    """None: no classifier was to be asked."""
    rejected_routes: tuple[RejectedRoute, ...] = ()

    @property
    def route(self) -> str:
        """Name of the route: the built-in ones are named after their mode."""
        return self.own_route or self.mode.value.lower()
