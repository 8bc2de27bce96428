"""`Router`: the first of these that matches decides a route: rules, the request, its metadata, the default."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.domain import (
    CallContext,
    CompletionRequest,
    ModelInfo,
    RouteDecision,
    RouteSource,
    RoutingMode,
    RoutingPreference,
)
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, RouteNotAllowed
from reasoning_grpc.router.automatic import AutomaticMode
from reasoning_grpc.router.classifier import Classifier, EventCallback
from reasoning_grpc.router.routes import Routes
from reasoning_grpc.router.rules import BUILT_IN_RULES, Rule

MODE_METADATA: Final = "x-routing-mode"


class _Requested(Struct, frozen=True):
    """The mode or the route that the message of a call requests, and the mode that its metadata requests."""

    mode: RoutingMode | None
    """The mode in the message; for a message that names a route, the mode of that route."""
    route: str
    """Empty when the message names no route."""
    metadata_mode: RoutingMode | None


class Router:
    """Decides how requests are served."""

    def __init__(
        self,
        table: ModelTable,
        classifier: Classifier,
        *,
        default_mode: RoutingMode = RoutingMode.PASSTHROUGH,
        routes: Routes | None = None,
        rules: Iterable[Rule] = (),
        offers_orchestration: bool = True,
    ) -> None:
        """`rules` are tried before the built-in ones. The classifier may choose only modes that are offered."""
        self._table = table
        self._routes = routes or Routes()
        self._rules = (*rules, *BUILT_IN_RULES)
        self._default_mode = default_mode
        self._automatic = AutomaticMode(
            table, classifier, self._routes, default_mode, offers_orchestration=offers_orchestration
        )

    async def decide(
        self, request: CompletionRequest, context: CallContext, on_event: EventCallback, *, rules_only: bool = False
    ) -> tuple[RouteDecision, ModelInfo | None]:
        """Returns how the request is served, and the model that serves it.

        With `rules_only` no model is called: where one would be, the decision has the mode AUTO, and no model serves
        it. `on_event` receives the events of the classifier's model calls.

        Raises:
            InvalidRequest: the request contradicts itself, or names a route or mode that does not exist.
            RouteNotAllowed, ModelNotAllowed: the caller may not take the route or use the model.
            ModelNotFound, ModelsNotListed: there is no such model, or no source of models could be read yet.
        """
        requested = self._read_requested(request, context)
        rule = self._find_rule(request, requested, context)
        name, draft = _apply_rule(rule, request, requested) if rule else self._apply_request(request, requested)
        preference = (rule and rule.preference) or request.routing.preference
        route = self._routes.find(name)
        if route is None:  # "auto" names no route: the classifier finds one
            decision = await self._automatic.decide(
                draft, preference, request, context, on_event, rules_only=rules_only
            )
        else:
            decision = route.decide(draft, preference)
        if decision.mode is RoutingMode.AUTO:  # `rules_only`, and no rule decided
            return decision, None
        if not context.caller.may_use_route(decision.route):
            raise RouteNotAllowed({"route": decision.route})
        model = await self._table.find_model(decision.model, context.caller, request.fallback_models)
        return (decision if decision.model == model.name else replace(decision, model=model.name)), model

    def find_task_models(self, request: CompletionRequest, decision: RouteDecision) -> Mapping[RoutingPreference, str]:
        """Returns the models of the route of a decision by preference, among which tasks may choose.

        It is empty when the request or a rule chose the model, because then all tasks have it.
        """
        route = self._routes.find(decision.route)
        if route is None or request.model:
            return {}
        own = {route.model or self._table.find_default(), *route.preferred_models.values()}
        return route.preferred_models if decision.model in own else {}

    def _read_requested(self, request: CompletionRequest, context: CallContext) -> _Requested:
        name = request.routing.route
        if not name:
            return _Requested(request.routing.mode, "", _read_metadata_mode(context))
        route = self._routes.find(name)
        if route is None:
            violation = FieldViolation("routing.route", "There is no such route.")
            raise InvalidRequest(violations=(violation,))
        return _Requested(route.mode, name, _read_metadata_mode(context))

    def _find_rule(self, request: CompletionRequest, requested: _Requested, context: CallContext) -> Rule | None:
        for rule in self._rules:
            if not rule.applies(request, context):
                continue
            if requested.mode not in rule.yields_to and not (requested.route and rule.yields_to_routes):
                return rule
        return None

    def _apply_request(self, request: CompletionRequest, requested: _Requested) -> tuple[str, RouteDecision]:
        """Returns the name of the route that request, metadata or default choose, and the decision without it."""
        if requested.route:
            reason = "The request asks for this route."
            return requested.route, _draft(request.model, RouteSource.REQUEST, reason)
        if (mode := requested.mode) is not None:
            return mode.lower(), _draft(request.model, RouteSource.REQUEST, "The request asks for this mode.")
        if (mode := requested.metadata_mode) is not None:
            return mode.lower(), _draft(request.model, RouteSource.METADATA, "The call's metadata asks for this mode.")
        reason = "The request chooses none; this is the server's default."
        return self._default_mode.lower(), _draft(request.model, RouteSource.DEFAULT, reason)


def _apply_rule(rule: Rule, request: CompletionRequest, requested: _Requested) -> tuple[str, RouteDecision]:
    """Returns the name of the route of the rule, and the decision without it."""
    draft = _draft(rule.model or request.model, RouteSource.RULE, rule.reason)
    wanted = requested.mode or requested.metadata_mode
    overridden = None if wanted is not None and wanted.lower() == rule.route else wanted
    return rule.route, replace(draft, rule_id=rule.id, requested_mode=overridden, requested_route=requested.route)


def _draft(model: str, source: RouteSource, reason: str) -> RouteDecision:
    return RouteDecision(mode=RoutingMode.AUTO, model=model, source=source, reason=reason)


def _read_metadata_mode(context: CallContext) -> RoutingMode | None:
    value = context.metadata.get(MODE_METADATA)
    if not value:
        return None
    try:
        return RoutingMode(value.strip().upper())
    except ValueError:
        modes = ", ".join(mode.value.lower() for mode in RoutingMode)
        violation = FieldViolation(f"metadata.{MODE_METADATA}", f"It must be one of {modes}.")
        raise InvalidRequest(violations=(violation,)) from None
