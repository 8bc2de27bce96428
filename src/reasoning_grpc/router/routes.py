"""`Routes`: the paths that requests can take, by name: one for each mode, and those of the configuration."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from reasoning_grpc.config import RouteEntry
from reasoning_grpc.domain import RouteDecision, RoutingMode, RoutingPreference


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

    def taken(self, draft: RouteDecision, preference: RoutingPreference | None) -> RouteDecision:
        """The draft of a decision, decided for this route; what was asked is left out where it is this one."""
        return replace(
            draft,
            mode=self.mode,
            own_route=self.name if self.name != self.mode.value.lower() else "",
            model=draft.model or self.model_for(preference),
            asked_mode=draft.asked_mode if draft.asked_mode is not self.mode else None,
            asked_route=draft.asked_route if draft.asked_route != self.name else "",
        )


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

    def __iter__(self) -> Iterator[Route]:
        """All of them, the built-in ones first."""
        return iter(self._routes.values())

    def of(self, mode: RoutingMode) -> Route:
        """The route of a mode that asks for no route of its own. Not for AUTO, which is none."""
        return self._routes[mode.value.lower()]
