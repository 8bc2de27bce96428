"""`Router`: rules, then the request, then metadata, then the default; the first that matches decides."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.domain import CallContext, CompletionRequest, RouteDecision, RouteSource, RoutingMode
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, RouteNotAllowed
from reasoning_grpc.router.automatic import AutomaticMode
from reasoning_grpc.router.classifier import Classifying, Listener
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import SHIPPED_RULES, Rule

MODE_METADATA: Final = "x-routing-mode"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a call asks for: a mode or a route in the request, and a mode in the metadata."""

    mode: RoutingMode | None
    """Of the request: that of the route that it names, too."""
    route: str
    in_metadata: RoutingMode | None


class Router:
    """Decides how requests are served."""

    def __init__(
        self,
        table: ModelTable,
        classifier: Classifying,
        *,
        default_mode: RoutingMode = RoutingMode.PASSTHROUGH,
        routes: Routes | None = None,
        rules: Iterable[Rule] = (),
    ) -> None:
        """`rules` go before the shipped ones."""
        self._table = table
        self._routes = routes or Routes()
        self._rules = (*rules, *SHIPPED_RULES)
        self._default_mode = default_mode
        self._automatic = AutomaticMode(table, classifier, self._routes, default_mode)

    async def decide(
        self, request: CompletionRequest, context: CallContext, hear: Listener, *, rules_only: bool = False
    ) -> RouteDecision:
        """The decision. With `rules_only` no model is asked: where one would have been, the mode is AUTO.

        `hear` gets the events of the classifier's model calls.

        Raises:
            InvalidRequest: the request contradicts itself, or names a route or mode that is none.
            RouteNotAllowed, ModelNotAllowed: the caller may not take the route or use the model.
            ModelNotFound, ModelsNotListed: there is no such model, or it is not known whether there is.
        """
        asked = self._asked(request, context)
        rule = self._matching_rule(request, asked, context)
        name, draft = _by_rule(rule, request, asked) if rule is not None else self._as_asked(request, asked)
        preference = (rule and rule.preference) or request.routing.preference
        route = self._routes.named(name)
        if route is None:  # "auto" is a question, and no route
            decision = await self._automatic.decide(draft, preference, request, context, hear, rules_only=rules_only)
        else:
            decision = route.taken(draft, preference)
        if decision.mode is RoutingMode.AUTO:  # only rules were asked
            return decision
        if not context.caller.may_take(decision.route):
            raise RouteNotAllowed({"route": decision.route})
        model = await self._table.chosen(decision.model, context.caller, request.fallback_models)
        return replace(decision, model=model.name)

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

    def _as_asked(self, request: CompletionRequest, asked: _Asked) -> tuple[str, RouteDecision]:
        """The name of the route that is asked for, by whomever, and the decision but for the route."""
        if asked.route:
            reason = "The request asks for this route."
            return asked.route, _draft(request.model, RouteSource.REQUEST, reason)
        for mode, source, reason in (
            (asked.mode, RouteSource.REQUEST, "The request asks for this mode."),
            (asked.in_metadata, RouteSource.METADATA, "The call's metadata asks for this mode."),
            (self._default_mode, RouteSource.DEFAULT, "Nothing else decided; this is the default."),
        ):
            if mode is not None:
                return mode.value.lower(), _draft(request.model, source, reason)
        raise AssertionError("there is always a default mode")


def _by_rule(rule: Rule, request: CompletionRequest, asked: _Asked) -> tuple[str, RouteDecision]:
    """The name of the rule's route, and the decision but for the route."""
    draft = _draft(rule.model or request.model, RouteSource.RULE, rule.reason)
    wanted = asked.mode or asked.in_metadata
    overridden = None if wanted is not None and wanted.value.lower() == rule.route else wanted
    return rule.route, replace(draft, rule_id=rule.id, asked_mode=overridden, asked_route=asked.route)


def _draft(model: str, source: RouteSource, reason: str) -> RouteDecision:
    return RouteDecision(mode=RoutingMode.AUTO, model=model, source=source, reason=reason)


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
