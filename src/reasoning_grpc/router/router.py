"""`Router`: rules, then the request, then metadata, then the default; the first that matches decides."""

from reasoning_grpc.errors import FieldViolation, InvalidRequest
from reasoning_grpc.router.rules import SHIPPED_RULES, Rule
from reasoning_grpc.types import CallContext, CompletionRequest, RouteDecision, RouteSource, RoutingMode

MODE_METADATA = "x-routing-mode"


class Router:
    """Decides how requests are served."""

    def __init__(self, default_mode: RoutingMode, rules: tuple[Rule, ...] = SHIPPED_RULES) -> None:
        self._default_mode = default_mode
        self._rules = rules

    async def decide(self, request: CompletionRequest, model: str, context: CallContext) -> RouteDecision:
        """The decision for a request that `model` is to answer. Raises InvalidRequest for contradictions."""
        asked = request.routing.mode
        in_metadata = _metadata_mode(context)
        rule = self._matching_rule(request, asked)
        if rule is not None:
            wanted = asked or in_metadata
            return RouteDecision(
                mode=rule.mode,
                model=model,
                source=RouteSource.RULE,
                rule_id=rule.id,
                reason=rule.reason,
                asked_mode=wanted if wanted is not rule.mode else None,
            )
        if asked is not None:
            return _decision(asked, model, RouteSource.REQUEST, "The request asks for this mode.")
        if in_metadata is not None:
            return _decision(in_metadata, model, RouteSource.METADATA, "The call's metadata asks for this mode.")
        return _decision(self._default_mode, model, RouteSource.DEFAULT, "Nothing else decided; this is the default.")

    def _matching_rule(self, request: CompletionRequest, asked: RoutingMode | None) -> Rule | None:
        for rule in self._rules:
            if not rule.applies(request):
                continue
            if asked in rule.contradicts:
                raise InvalidRequest(violations=(FieldViolation("routing.mode", rule.contradiction),))
            if asked not in rule.yields_to:
                return rule
        return None


def _decision(mode: RoutingMode, model: str, source: RouteSource, reason: str) -> RouteDecision:
    return RouteDecision(mode=mode, model=model, source=source, reason=reason)


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
