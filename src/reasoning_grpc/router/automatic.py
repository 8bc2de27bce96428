"""`AutomaticMode`: what mode AUTO comes to: the classifier's route, or another one where it cannot say."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.domain import (
    CallContext,
    Caller,
    CompletionRequest,
    RejectedRoute,
    RouteDecision,
    RouteSource,
    RoutingMode,
    RoutingPreference,
)
from reasoning_grpc.domain.errors import RouteNotAllowed
from reasoning_grpc.router.classifier import Classifying, Listener, Verdict
from reasoning_grpc.router.routes import Route, Routes

_SERVED: Final = frozenset({RoutingMode.PASSTHROUGH, RoutingMode.REASONING})
"""No build serves ORCHESTRATION, and AUTO is a question."""
_ONLY_ONE: Final = "It is the only route that this request may take."
_CHOSEN: Final = "The classifier chose it."
_REMEMBERED: Final = "The classifier chose it before, for the same conversation."
_DEFAULT: Final = "The classifier failed; this is the default."
_NOT_DEFAULT: Final = "The classifier failed; this is the first route that the caller may take."
_NOT_CHOSEN: Final = "The classifier chose another."
_CANNOT_RUN_TOOLS: Final = "The reasoning agent cannot run the caller's own tools."


class AutomaticMode:
    """Finds the route of requests that leave it to the server."""

    def __init__(self, table: ModelTable, classifier: Classifying, routes: Routes, default_mode: RoutingMode) -> None:
        self._table = table
        self._classifier = classifier
        self._routes = routes
        self._fallback = routes.of(RoutingMode.PASSTHROUGH if default_mode is RoutingMode.AUTO else default_mode)

    async def decide(
        self,
        draft: RouteDecision,
        preference: RoutingPreference | None,
        request: CompletionRequest,
        context: CallContext,
        hear: Listener,
        *,
        rules_only: bool,
    ) -> RouteDecision:
        """The draft, decided; as it is where `rules_only` leaves nobody to ask.

        Raises RouteNotAllowed when no route is left, and what is wrong with the models that are asked for: nobody is
        asked about a request that cannot be answered.
        """
        for model in filter(None, (draft.model, *request.fallback_models)):
            await self._table.chosen(model, context.caller)
        able, unable = self._candidates(request, context.caller)
        if not able:
            raise RouteNotAllowed({"route": draft.route})
        routes = [route for route in able if self._may_use_model(route.taken(draft, preference), context.caller)]
        routes = routes or able[:1]  # its model's refusal is then the answer
        draft = replace(draft, rejected_routes=tuple(RejectedRoute(each.name, _CANNOT_RUN_TOOLS) for each in unable))
        if len(routes) == 1:
            return routes[0].taken(replace(draft, reason=_ONLY_ONE), preference)
        verdict = await self._classifier.verdict(request, routes, context, hear, rules_only=rules_only)
        draft = replace(draft, classification=verdict.classification)
        if verdict.classification is not None and verdict.classification.skipped:
            return draft
        return self._decided(draft, verdict, routes, preference)

    def _decided(
        self, draft: RouteDecision, verdict: Verdict, routes: Sequence[Route], preference: RoutingPreference | None
    ) -> RouteDecision:
        chosen = next((route for route in routes if route.name == verdict.route), None)
        if chosen is None:
            route = self._fallback if self._fallback in routes else routes[0]
            reason = _DEFAULT if route is self._fallback else _NOT_DEFAULT
            return route.taken(replace(draft, source=RouteSource.CLASSIFIER_FALLBACK, reason=reason), preference)
        others = tuple(RejectedRoute(route.name, _NOT_CHOSEN) for route in routes if route is not chosen)
        remembered = verdict.classification is None
        draft = replace(
            draft,
            source=RouteSource.CACHE if remembered else RouteSource.CLASSIFIER,
            reason=_REMEMBERED if remembered else _CHOSEN,
            rejected_routes=(*draft.rejected_routes, *others),
        )
        return chosen.taken(draft, preference)

    def _candidates(self, request: CompletionRequest, caller: Caller) -> tuple[list[Route], list[Route]]:
        """The routes that the caller may take: those that can serve the request, and those that cannot."""
        routes = [each for each in self._routes if each.mode in _SERVED and caller.may_take(each.name)]
        unable = [each for each in routes if request.tools and each.mode is RoutingMode.REASONING]
        return [each for each in routes if each not in unable], unable

    def _may_use_model(self, decision: RouteDecision, caller: Caller) -> bool:
        return caller.may_use(decision.model or self._table.default())
