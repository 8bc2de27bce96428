"""`TracedClassifier`: wraps a classifier and records a span for each classification."""

from collections.abc import Sequence

from msgspec.structs import replace
from opentelemetry.trace import Span, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, CompletionRequest
from reasoning_grpc.router.classifier import Classifier, EventCallback, Verdict
from reasoning_grpc.router.routes import Route
from reasoning_grpc.telemetry import PREFIX, OpenInference, ViewerKind, mark_error


class TracedClassifier:
    """Returns the verdict of the inner classifier; the spans of its model calls are children of its own span.

    A route that a rule decides has no span: that takes no time, and the span of the call has the route.
    """

    def __init__(self, inner: Classifier, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def classify(
        self,
        request: CompletionRequest,
        routes: Sequence[Route],
        context: CallContext,
        on_event: EventCallback,
        *,
        rules_only: bool = False,
    ) -> Verdict:
        """See `Classifier.classify`."""
        span = self._tracer.start_span(
            "classify", context.trace, attributes={OpenInference.SPAN_KIND: ViewerKind.CHAIN}
        )
        inner = replace(context, trace=set_span_in_context(span, context.trace))
        try:
            verdict = await self._inner.classify(request, routes, inner, on_event, rules_only=rules_only)
            _describe(span, verdict)
            return verdict
        except BaseException as error:
            mark_error(span, error, cancelled=context.infer_end_status())
            raise
        finally:
            span.end()


def _describe(span: Span, verdict: Verdict) -> None:
    """Sets the attributes of the span. A failed classification is no error of the call, so the status stays unset."""
    facts = {"route": verdict.route}
    if (classification := verdict.classification) is not None:
        facts["classifier_model"] = classification.model
        facts["classifier_failure"] = classification.failure or (classification.flaw or "")
    span.set_attributes({PREFIX + name: value for name, value in facts.items() if value})
