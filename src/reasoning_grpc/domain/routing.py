"""The routing of a request, and the reasons for it."""

from enum import StrEnum

from msgspec import Struct

from reasoning_grpc.domain.answers import AnswerFlaw
from reasoning_grpc.domain.prices import Cost
from reasoning_grpc.domain.usage import Usage


class RoutingMode(StrEnum):
    """A path that serves requests."""

    PASSTHROUGH = "PASSTHROUGH"
    REASONING = "REASONING"
    ORCHESTRATION = "ORCHESTRATION"
    AUTO = "AUTO"
    """A classifier decides. It is never the mode by which a request was served."""


class RoutingPreference(StrEnum):
    """The aim that decides between several models that could serve a request."""

    QUALITY = "QUALITY"
    BALANCED = "BALANCED"
    COST = "COST"


class RouteSource(StrEnum):
    """The source of a route decision."""

    RULE = "RULE"
    REQUEST = "REQUEST"
    METADATA = "METADATA"
    CLASSIFIER = "CLASSIFIER"
    CLASSIFIER_FALLBACK = "CLASSIFIER_FALLBACK"
    CACHE = "CACHE"
    DEFAULT = "DEFAULT"
    EMBEDDING = "EMBEDDING"


class RouteRejectionCause(StrEnum):
    """The cause for which a route was not chosen."""

    NOT_CHOSEN = "NOT_CHOSEN"
    """The classifier chose another route."""
    CALLER_TOOLS = "CALLER_TOOLS"
    """The request has tools of the caller's own, which the route gets only by name."""


class Classification(Struct, frozen=True, kw_only=True):
    """The classification of a request by a model, or by the embedding."""

    model: str
    """Name of the model that was called, or would have been called, or name of the embedding."""
    routes: tuple[str, ...]
    """Names of the routes that the model could choose from."""
    skipped: bool = False
    """Whether the model was not called because the caller wanted rules only."""
    latency_seconds: float | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    failure: str = ""
    """The reason of the error of a model that did not answer. Empty when it answered."""
    flaw: AnswerFlaw | None = None
    """The flaw for which the answer could not be used. None when it was used."""
    failure_detail: str = ""
    """Explains `failure` or `flaw` in a short English sentence."""


class RejectedRoute(Struct, frozen=True):
    """A route that the router considered and did not choose."""

    route: str
    cause: RouteRejectionCause
    reason: str
    """Explains the cause in a short English sentence."""


class RouteDecision(Struct, frozen=True, kw_only=True):
    """The path and the model that serve a request, and what decided them."""

    mode: RoutingMode
    model: str
    source: RouteSource
    reason: str
    """Explains the decision in a short English sentence."""
    rule_id: str = ""
    """Id of the rule that decided, or that sent the request to the classifier. Empty when no rule matched."""
    configured_route: str = ""
    """Name of the configured route. Empty means the built-in route of the mode."""
    requested_mode: RoutingMode | None = None
    """The mode that was requested, when another one was chosen."""
    requested_route: str = ""
    """The route that was requested, when another one was chosen."""
    confidence: float | None = None
    """The calibrated probability that the route is right; None when it was not measured."""
    classification: Classification | None = None
    """None when the decision needed no classifier."""
    rejected_routes: tuple[RejectedRoute, ...] = ()

    @property
    def route(self) -> str:
        """Returns the name of the route. A built-in route has the name of its mode."""
        return self.configured_route or self.mode.lower()
