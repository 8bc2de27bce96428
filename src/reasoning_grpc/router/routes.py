"""`Routes`: the paths that requests can take, by name: one for each mode, and those of the configuration."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.config import RouteEntry
from reasoning_grpc.types import RoutingMode, RoutingPreference


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path, and who answers on it."""

    name: str
    mode: RoutingMode
    description: str
    """Which requests it is for, for people and for the classifier."""
    model: str = ""
    """Who answers requests that name no model; empty: the server's default."""
    preferred_models: Mapping[RoutingPreference, str] = field(default_factory=dict)

    def model_for(self, preference: RoutingPreference | None) -> str:
        """Who answers a request that names no model and prefers this; empty: the server's default."""
        return self.model if preference is None else self.preferred_models.get(preference, self.model)


BUILT_IN: Final = (
    Route(
        name="passthrough",
        mode=RoutingMode.PASSTHROUGH,
        description="Anything that can be answered at once: facts, texts, translations, summaries, code, conversation.",
    ),
    Route(
        name="reasoning",
        mode=RoutingMode.REASONING,
        description="Problems that take several steps: research, planning, calculation, comparison, proofs.",
    ),
    Route(
        name="orchestration",
        mode=RoutingMode.ORCHESTRATION,
        description="Work for several agents at once.",
    ),
)
"""One for each mode, named after it."""


class Routes:
    """Every route by its name."""

    def __init__(self, entries: Iterable[RouteEntry] = ()) -> None:
        """An entry with the name of a built-in route says more of it."""
        self._routes = {route.name: route for route in BUILT_IN}
        for entry in entries:
            built_in = self._routes.get(entry.name)
            self._routes[entry.name] = Route(
                name=entry.name,
                mode=entry.mode,
                description=entry.description or (built_in.description if built_in else ""),
                model=entry.model,
                preferred_models=entry.preferred_models,
            )

    def named(self, name: str) -> Route | None:
        """The route of this name; None when there is none."""
        return self._routes.get(name)

    def of(self, mode: RoutingMode) -> Route:
        """The route of a mode that asks for no route of its own. Not for AUTO, which is none."""
        return self._routes[mode.value.lower()]
