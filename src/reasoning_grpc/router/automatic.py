"""`AutomaticMode`: which route mode AUTO takes: the classifier's, or the default where the classifier fails."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.domain import (
    CallContext,
    Caller,
    CompletionRequest,
    RejectedRoute,
    RouteDecision,
    RouteRejectionCause,
    RouteSource,
    RoutingMode,
    RoutingPreference,
)
from reasoning_grpc.domain.errors import RouteNotAllowed
from reasoning_grpc.router.classifier import Classifier, EventCallback, Verdict
from reasoning_grpc.router.routes import Route, Routes

_AGENTS: Final = frozenset({RoutingMode.REASONING, RoutingMode.ORCHESTRATION})
"""The modes in which agents work. They get the caller's own tools only by a request or a rule that names them."""
_ONLY_ONE: Final = "It is the only route that this request may take."
_CHOSEN: Final = "The classifier chose it."
_EMBEDDED: Final = "The embedding chose it."
_EMBEDDED_FALLBACK: Final = "The classifier's model failed; this is what the embedding, less sure, would choose."
_CACHED: Final = "The classifier chose it before, for the same conversation."
_DEFAULT: Final = "The classifier failed; this is the default."
_NOT_DEFAULT: Final = "The classifier failed; this is the first route that the caller may take."
_REJECTION_REASONS: Final[Mapping[RouteRejectionCause, str]] = {
    RouteRejectionCause.NOT_CHOSEN: "The classifier chose another.",
    RouteRejectionCause.CALLER_TOOLS: "The agent gets the caller's own tools only by a request or a rule for it.",
}


class AutomaticMode:
    """Finds the route of requests that leave it to the server."""

    def __init__(
        self,
        table: ModelTable,
        classifier: Classifier,
        routes: Routes,
        default_mode: RoutingMode,
        *,
        offers_orchestration: bool,
    ) -> None:
        self._table = table
        self._classifier = classifier
        self._routes = routes
        self._offered = {RoutingMode.PASSTHROUGH, RoutingMode.REASONING}
        if offers_orchestration:
            self._offered.add(RoutingMode.ORCHESTRATION)
        self._fallback = routes.for_mode(RoutingMode.PASSTHROUGH if default_mode is RoutingMode.AUTO else default_mode)

    async def decide(
        self,
        draft: RouteDecision,
        preference: RoutingPreference | None,
        request: CompletionRequest,
        context: CallContext,
        on_event: EventCallback,
        *,
        rules_only: bool,
    ) -> RouteDecision:
        """Returns the draft with its route; with `rules_only`, the draft as it is where a model would be called.

        The requested models are checked first, so that the classifier is not called for a request that nobody can
        answer. Raises RouteNotAllowed when no route is left, and whatever is wrong with the requested models.
        """
        for model in filter(None, (draft.model, *request.fallback_models)):
            await self._table.find_model(model, context.caller)
        able, unable = self._split_by_ability(request, context.caller)
        if not able:
            raise RouteNotAllowed({"route": draft.route})
        routes = [route for route in able if self._may_use_model(route.decide(draft, preference), context.caller)]
        routes = routes or able[:1]  # the refusal of its model then becomes the call's error
        draft = replace(draft, rejected_routes=_reject(unable, RouteRejectionCause.CALLER_TOOLS))
        if len(routes) == 1:
            return routes[0].decide(replace(draft, reason=_ONLY_ONE), preference)
        verdict = await self._classifier.classify(request, routes, context, on_event, rules_only=rules_only)
        draft = replace(draft, classification=verdict.classification)
        if verdict.classification is not None and verdict.classification.skipped:
            return draft
        return self._apply(verdict, draft, routes, preference)

    def _apply(
        self, verdict: Verdict, draft: RouteDecision, routes: Sequence[Route], preference: RoutingPreference | None
    ) -> RouteDecision:
        """Returns the draft with the route of the verdict, or with the default where the verdict has none."""
        chosen = next((route for route in routes if route.name == verdict.route), None)
        if chosen is None:
            route = self._fallback if self._fallback in routes else routes[0]
            reason = _DEFAULT if route is self._fallback else _NOT_DEFAULT
            return route.decide(replace(draft, source=RouteSource.CLASSIFIER_FALLBACK, reason=reason), preference)
        others = _reject([each for each in routes if each is not chosen], RouteRejectionCause.NOT_CHOSEN)
        source, reason = _explain(verdict)
        draft = replace(
            draft,
            source=source,
            reason=reason,
            confidence=verdict.confidence,
            rejected_routes=(*draft.rejected_routes, *others),
        )
        return chosen.decide(draft, preference)

    def _split_by_ability(self, request: CompletionRequest, caller: Caller) -> tuple[list[Route], list[Route]]:
        """Splits the routes that the caller may take into those that can serve the request and those that cannot."""
        routes = [each for each in self._routes if each.mode in self._offered and caller.may_use_route(each.name)]
        unable = [each for each in routes if request.tools and each.mode in _AGENTS]
        return [each for each in routes if each not in unable], unable

    def _may_use_model(self, decision: RouteDecision, caller: Caller) -> bool:
        return caller.may_use_model(decision.model or self._table.find_default())


def _explain(verdict: Verdict) -> tuple[RouteSource, str]:
    """Returns the source of a verdict that has a route, and the sentence for it."""
    classification = verdict.classification
    if verdict.confidence is not None:
        is_second = classification is not None and bool(classification.failure or classification.flaw)
        return RouteSource.EMBEDDING, _EMBEDDED_FALLBACK if is_second else _EMBEDDED
    if classification is None:
        return RouteSource.CACHE, _CACHED
    return RouteSource.CLASSIFIER, _CHOSEN


def _reject(routes: Iterable[Route], cause: RouteRejectionCause) -> tuple[RejectedRoute, ...]:
    return tuple(RejectedRoute(route.name, cause, _REJECTION_REASONS[cause]) for route in routes)
