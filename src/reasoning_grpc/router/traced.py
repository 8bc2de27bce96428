"""`TracedClassifier`: a classifier around another that makes a span of each verdict."""

from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.trace import Span, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, CompletionRequest
from reasoning_grpc.router.classifier import Classifying, Listener, Verdict
from reasoning_grpc.router.routes import Route
from reasoning_grpc.telemetry.tracing import PREFIX, mark_error


class TracedClassifier:
    """Says what the inner one says; the spans of its model calls are children of its own.

    What rules decide has no span: it takes no time, and stands on the span of the call.
    """

    def __init__(self, inner: Classifying, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def verdict(
        self,
        request: CompletionRequest,
        routes: Sequence[Route],
        context: CallContext,
        hear: Listener,
        *,
        rules_only: bool = False,
    ) -> Verdict:
        """See `Classifying.verdict`."""
        span = self._tracer.start_span("classify", context.trace)
        inner = replace(context, trace=set_span_in_context(span, context.trace))
        try:
            verdict = await self._inner.verdict(request, routes, inner, hear, rules_only=rules_only)
            _describe(span, verdict)
            return verdict
        except BaseException as error:
            mark_error(span, error, cancelled=context.cut_short_by())
            raise
        finally:
            span.end()


def _describe(span: Span, verdict: Verdict) -> None:
    """A verdict that failed is no error of the call, so the status stays as it is."""
    facts = {"route": verdict.route}
    if (classification := verdict.classification) is not None:
        facts["classifier_model"] = classification.model
        facts["classifier_failure"] = classification.failure or (classification.flaw or "")
    span.set_attributes({PREFIX + name: value for name, value in facts.items() if value})
