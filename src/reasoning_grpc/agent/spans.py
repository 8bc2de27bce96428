"""`AgentSpans`: records a span for each task, each step and each tool call.

Spans carry no thought, argument or result, unless the operator requests content.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeVar

from msgspec.structs import replace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Tracer, set_span_in_context

from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.domain import CallContext, StepOutcome, Task, ToolCall, ToolExecution, ToolStatus
from reasoning_grpc.telemetry import PREFIX, MimeType, OpenInference, ViewerKind, cut_text, mark_error, mark_failed

S = TypeVar("S")
_OPERATION: Final = "gen_ai.operation.name"
_TOOL_NAME: Final = "gen_ai.tool.name"
_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
_TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
_TOOL_RESULT: Final = "gen_ai.tool.call.result"
_EXECUTE: Final = "execute_tool"


@dataclass(frozen=True, slots=True)
class StepSpan:
    """The span of a step."""

    context: CallContext
    """The context for what happens within the step."""
    _span: Span
    _captures_content: bool

    def record_plan(self, plan: Plan) -> None:
        """Records what the model wants to do, where content was requested."""
        if self._captures_content:
            self._span.set_attributes(
                {OpenInference.OUTPUT_VALUE: _format_plan(plan), OpenInference.OUTPUT_MIME_TYPE: MimeType.JSON}
            )

    def record_outcome(self, outcome: StepOutcome, tool_calls: int) -> None:
        """Records how the step ended. A step without use is no error of the call, so the status stays unset."""
        self._span.set_attributes({PREFIX + "step_outcome": outcome.value, PREFIX + "tool_calls": tool_calls})


@dataclass(frozen=True, slots=True)
class TaskSpan:
    """The span of an attempt at a task."""

    context: CallContext
    """The context for what happens within the task."""
    _span: Span
    _captures_content: bool

    def record_task(self, task: Task) -> None:
        """Records how the task ended."""
        self._span.set_attribute(PREFIX + "task_outcome", task.outcome.value)
        if self._captures_content:
            self._span.set_attribute(OpenInference.OUTPUT_VALUE, cut_text(task.result))
        if task.failure:
            mark_failed(self._span, task.failure)


@dataclass(frozen=True, slots=True)
class ToolSpan:
    """The span of a tool call."""

    context: CallContext
    _span: Span
    _captures_content: bool

    def record_execution(self, execution: ToolExecution) -> None:
        """Records how the call ended."""
        if self._captures_content:
            self._record_content(execution)
        self._span.set_attribute(PREFIX + "tool_status", execution.status.value)
        if execution.status is not ToolStatus.OK:
            mark_failed(self._span, execution.status.value)

    def _record_content(self, execution: ToolExecution) -> None:
        arguments, result = cut_text(execution.arguments), cut_text(execution.result or execution.error)
        self._span.set_attributes(
            {
                _TOOL_ARGUMENTS: arguments,
                _TOOL_RESULT: result,
                OpenInference.TOOL_PARAMETERS: arguments,
                OpenInference.INPUT_VALUE: arguments,
                OpenInference.INPUT_MIME_TYPE: MimeType.JSON,
                OpenInference.OUTPUT_VALUE: result,
            }
        )


class AgentSpans:
    """Starts and ends the spans of runs. Without a tracer it does nothing."""

    def __init__(self, tracer: Tracer | None, *, captures_content: bool = False) -> None:
        """`captures_content` puts plans, arguments and results on the spans."""
        self._tracer = tracer
        self._captures_content = captures_content

    def step(self, number: int, context: CallContext) -> AbstractContextManager[StepSpan]:
        """Starts the span of a step, which ends with the block."""
        return self._start(
            StepSpan, f"step {number}", context, {OpenInference.SPAN_KIND: ViewerKind.CHAIN, PREFIX + "step": number}
        )

    def task(self, number: int, task_id: str, attempt: int, context: CallContext) -> AbstractContextManager[TaskSpan]:
        """Starts the span of an attempt at a task, which ends with the block."""
        facts: dict[str, str | int] = {
            OpenInference.SPAN_KIND: ViewerKind.AGENT,
            PREFIX + "task": number,
            PREFIX + "task_id": task_id,
            PREFIX + "task_attempt": attempt,
        }
        return self._start(TaskSpan, f"task {task_id}", context, facts)

    def tool(self, call: ToolCall, context: CallContext) -> AbstractContextManager[ToolSpan]:
        """Starts the span of a tool call, which ends with the block."""
        facts = {
            _OPERATION: _EXECUTE,
            _TOOL_NAME: call.name,
            _TOOL_CALL_ID: call.id,
            OpenInference.SPAN_KIND: ViewerKind.TOOL,
            OpenInference.TOOL_NAME: call.name,
            OpenInference.TOOL_ID: call.id,
        }
        return self._start(ToolSpan, f"{_EXECUTE} {call.name}", context, facts)

    def _start(
        self,
        kind: Callable[[CallContext, Span, bool], S],
        name: str,
        context: CallContext,
        facts: Mapping[str, str | int],
    ) -> AbstractContextManager[S]:
        if self._tracer is None:
            return nullcontext(kind(context, INVALID_SPAN, False))
        return self._start_span(self._tracer, kind, name, context, facts)

    @contextmanager
    def _start_span(
        self,
        tracer: Tracer,
        kind: Callable[[CallContext, Span, bool], S],
        name: str,
        context: CallContext,
        facts: Mapping[str, str | int],
    ) -> Iterator[S]:
        # The span is not made current: around the `yield` of a generator it would leak into the code that reads it.
        span = tracer.start_span(name, context.trace, SpanKind.INTERNAL, facts)
        within = replace(context, trace=set_span_in_context(span, context.trace))
        try:
            yield kind(within, span, self._captures_content)
        except BaseException as error:
            mark_error(span, error, cancelled=context.infer_end_status())
            raise
        finally:
            span.end()


def _format_plan(plan: Plan) -> str:
    """Returns the plan as JSON text, of which each part is cut where it is too long."""
    calls = [{"name": call.name, "arguments": cut_text(call.arguments)} for call in plan.tool_calls]
    facts = {"thought": cut_text(plan.thought), "next_action": plan.next_action.value, "tool_calls": calls}
    return json.dumps(facts, ensure_ascii=False)
