"""`Router`: rules, then the request, then metadata, then the default; the first that matches decides."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.errors import FieldViolation, InvalidRequest, RouteNotAllowed
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import SHIPPED_RULES, Rule
from reasoning_grpc.types import CallContext, CompletionRequest, RouteDecision, RouteSource, RoutingMode

MODE_METADATA: Final = "x-routing-mode"
_AUTO: Final = RoutingMode.AUTO.value.lower()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call asks for: a mode or a route in the request, and a mode in the metadata."""

    mode: RoutingMode | None
    """Of the request: that of the route that it names, too."""
    route: str
    in_metadata: RoutingMode | None


class Router:
    """Decides how requests are served."""

    def __init__(self, default_mode: RoutingMode, routes: Routes | None = None, rules: Iterable[Rule] = ()) -> None:
        """`rules` go before the shipped ones."""
        self._default_mode = default_mode
        self._routes = routes or Routes()
        self._rules = (*rules, *SHIPPED_RULES)

    async def decide(self, request: CompletionRequest, context: CallContext) -> RouteDecision:
        """The decision; its model is empty where the server's default one is to answer.

        Raises InvalidRequest for contradictions and for routes and modes that are none, and RouteNotAllowed.
        """
        asked = self._asked(request, context)
        rule = self._matching_rule(request, asked, context)
        decision = self._by_rule(rule, request, asked) if rule is not None else self._as_asked(request, asked)
        if not context.caller.may_take(decision.route):
            raise RouteNotAllowed({"route": decision.route})
        return decision

    def _asked(self, request: CompletionRequest, context: CallContext) -> _Asked:
        name = request.routing.route
        if not name:
            return _Asked(request.routing.mode, "", _metadata_mode(context))
        route = self._routes.named(name)
        if route is None:
            violation = FieldViolation("routing.route", "There is no such route.")
            raise InvalidRequest(violations=(violation,))
        return _Asked(route.mode, name, _metadata_mode(context))

    def _matching_rule(self, request: CompletionRequest, asked: _Asked, context: CallContext) -> Rule | None:
        for rule in self._rules:
            if not rule.applies(request, context):
                continue
            if asked.mode in rule.contradicts:
                field = "routing.route" if asked.route else "routing.mode"
                raise InvalidRequest(violations=(FieldViolation(field, rule.contradiction),))
            if asked.mode not in rule.yields_to:
                return rule
        return None

    def _by_rule(self, rule: Rule, request: CompletionRequest, asked: _Asked) -> RouteDecision:
        decision = self._taking(rule.route, request, RouteSource.RULE, rule.reason, rule)
        wanted = asked.mode or asked.in_metadata
        return replace(
            decision,
            rule_id=rule.id,
            asked_mode=wanted if wanted is not decision.mode else None,
            asked_route=asked.route if asked.route != decision.route else "",
        )

    def _as_asked(self, request: CompletionRequest, asked: _Asked) -> RouteDecision:
        if asked.route:
            return self._taking(asked.route, request, RouteSource.REQUEST, "The request asks for this route.")
        for mode, source, reason in (
            (asked.mode, RouteSource.REQUEST, "The request asks for this mode."),
            (asked.in_metadata, RouteSource.METADATA, "The call's metadata asks for this mode."),
        ):
            if mode is not None:
                return self._taking(mode.value.lower(), request, source, reason)
        default = self._default_mode.value.lower()
        return self._taking(default, request, RouteSource.DEFAULT, "Nothing else decided; this is the default.")

    def _taking(
        self, name: str, request: CompletionRequest, source: RouteSource, reason: str, rule: Rule | None = None
    ) -> RouteDecision:
        """The decision for the route of this name, or for AUTO."""
        route = None if name == _AUTO else self._routes.named(name)
        ruled_model, ruled_preference = ("", None) if rule is None else (rule.model, rule.preference)
        by_route = "" if route is None else route.model_for(ruled_preference or request.routing.preference)
        return RouteDecision(
            mode=RoutingMode.AUTO if route is None else route.mode,
            own_route=name if route is not None and name != route.mode.value.lower() else "",
            model=ruled_model or request.model or by_route,
            source=source,
            reason=reason,
        )


def _metadata_mode(context: CallContext) -> RoutingMode | None:
    value = context.metadata.get(MODE_METADATA)
    if not value:
        return None
    try:
        return RoutingMode(value.strip().upper())
    except ValueError:
        modes = ", ".join(mode.value.lower() for mode in RoutingMode)
        violation = FieldViolation(f"metadata.{MODE_METADATA}", f"It must be one of {modes}.")
        raise InvalidRequest(violations=(violation,)) from None
