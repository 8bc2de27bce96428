"""`AgentSpans`: a span a step and a tool; without a tracer there are none. No words of anybody are on them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Tracer, set_span_in_context

from reasoning_grpc.domain import CallContext, StepOutcome, ToolCall, ToolExecution, ToolStatus
from reasoning_grpc.telemetry.tracing import PREFIX, mark_error, mark_failed

_OPERATION: Final = "gen_ai.operation.name"
_TOOL_NAME: Final = "gen_ai.tool.name"
_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
_EXECUTE: Final = "execute_tool"


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The span of a step."""

    context: CallContext
    """For what happens in it."""
    _span: Span

    def ended(self, outcome: StepOutcome, tool_calls: int) -> None:
        """Says how the step ended; a step that was no use is no error of the call."""
        self._span.set_attributes({PREFIX + "step_outcome": outcome.value, PREFIX + "tool_calls": tool_calls})


@dataclass(frozen=True, slots=True)
class ToolSpan:
    """The span of a tool call."""

    context: CallContext
    _span: Span

    def ended(self, execution: ToolExecution) -> None:
        """Says how the call ended."""
        self._span.set_attribute(PREFIX + "tool_status", execution.status.value)
        if execution.status is not ToolStatus.OK:
            mark_failed(self._span, execution.status.value)


class AgentSpans:
    """Makes the spans of one agent."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    @contextmanager
    def step(self, number: int, context: CallContext) -> Iterator[StepSpan]:
        """The span of a step, ended with this block."""
        with self._span(f"step {number}", context, {PREFIX + "step": number}) as (span, inner):
            yield StepSpan(inner, span)

    @contextmanager
    def tool(self, call: ToolCall, context: CallContext) -> Iterator[ToolSpan]:
        """The span of a tool call, ended with this block."""
        facts = {_OPERATION: _EXECUTE, _TOOL_NAME: call.name, _TOOL_CALL_ID: call.id}
        with self._span(f"{_EXECUTE} {call.name}", context, facts) as (span, inner):
            yield ToolSpan(inner, span)

    @contextmanager
    def _span(
        self, name: str, context: CallContext, facts: Mapping[str, str | int]
    ) -> Iterator[tuple[Span, CallContext]]:
        if self._tracer is None:
            yield INVALID_SPAN, context
            return
        # Not made current: around a `yield` of a generator that would leak into whoever reads it.
        span = self._tracer.start_span(name, context.trace, SpanKind.INTERNAL, facts)
        try:
            yield span, replace(context, trace=set_span_in_context(span, context.trace))
        except BaseException as error:
            mark_error(span, error, cancelled=context.cut_short_by())
            raise
        finally:
            span.end()
