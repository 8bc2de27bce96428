"""How a request is routed, and why."""

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDecision:
    """Which path and model serve a request, and what decided it."""

    mode: RoutingMode
    model: str
    source: RouteSource
    reason: str
    """A short English sentence."""
    rule_id: str = ""
    own_route: str = ""
    """Name of the configured route; empty: the built-in one of the mode."""
    asked_mode: RoutingMode | None = None
    """The mode asked for, when another was taken."""
    asked_route: str = ""
    """The route asked for, when another was taken."""

    @property
    def route(self) -> str:
        """Name of the route: the built-in ones are named after their mode."""
        return self.own_route or self.mode.value.lower()
