"""`Routes`: the paths that requests can take: one built-in route for each mode, and the configured ones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.config import RouteEntry
from reasoning_grpc.domain import RouteDecision, RoutingMode, RoutingPreference


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A path, and the model that answers on it."""

    name: str
    mode: RoutingMode
    description: str
    """Which requests it serves; read by people and by the classifier."""
    model: str = ""
    """The model for requests that name none. Empty means the server's default."""
    preferred_models: Mapping[RoutingPreference, str] = field(default_factory=dict)

    def model_for(self, preference: RoutingPreference | None) -> str:
        """Returns the model for a request that names none and has this preference; empty for the server's default."""
        return self.model if preference is None else self.preferred_models.get(preference, self.model)

    def decide(self, draft: RouteDecision, preference: RoutingPreference | None) -> RouteDecision:
        """Completes the draft of a decision with this route.

        `requested_mode` and `requested_route` are cleared where they name this route: they report only what was not
        granted.
        """
        return replace(
            draft,
            mode=self.mode,
            configured_route=self.name if self.name != self.mode.lower() else "",
            model=draft.model or self.model_for(preference),
            requested_mode=draft.requested_mode if draft.requested_mode is not self.mode else None,
            requested_route=draft.requested_route if draft.requested_route != self.name else "",
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
        description="Work that splits into several independent parts, each with research or tools of its own.",
    ),
)
"""One route for each mode, named after it."""


class Routes:
    """All routes, by name."""

    def __init__(self, entries: Iterable[RouteEntry] = ()) -> None:
        """An entry with the name of a built-in route replaces its model, and its description where it gives one."""
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

    def find(self, name: str) -> Route | None:
        """Returns the route of this name; None when there is none."""
        return self._routes.get(name)

    def __iter__(self) -> Iterator[Route]:
        """Yields all routes, the built-in ones first."""
        return iter(self._routes.values())

    def for_mode(self, mode: RoutingMode) -> Route:
        """Returns the built-in route of a mode. AUTO has none: passing it raises KeyError."""
        return self._routes[mode.value.lower()]
