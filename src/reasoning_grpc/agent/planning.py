"""Planning: asks a model for its next plan, in JSON or through the provider's own tool calls."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.domain import (
    CallContext,
    FinishReason,
    Message,
    ModelCallPurpose,
    NextAction,
    Part,
    Refusal,
    Text,
    ToolCall,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
)
from reasoning_grpc.domain.fold import MessageBuilder
from reasoning_grpc.llm import ModelCall, ResilientModel, TimeIsUp, limit_time
from reasoning_grpc.llm.structured import FlawedAnswer, Schema, TypedAnswer, stream_requested_answer

Repair = Callable[[ModelCall], ModelCall | None]
"""Adapts the call that asks for a repaired plan to the budgets; returns None when they forbid it."""
_STEP: Final = ModelCallPurpose.STEP
_CUT_SHORT: Final = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER})
"""An answer with such an end does not say that the model is ready."""


class ModelPlan(Struct, frozen=True):
    """The outcome of planning when the model has a plan."""

    plan: Plan
    answer: Message
    """The model's answer, as it came."""


@dataclass(frozen=True, slots=True)
class NoPlan:
    """The outcome of planning when there is no plan: it was unreadable, cut short, declined or too slow."""

    is_late: bool = False
    """Whether the time was up."""


async def plan_events(
    model: ResilientModel,
    call: ModelCall,
    schema: Schema[Plan] | None,
    context: CallContext,
    *,
    repair: Repair,
    ends: float,
) -> AsyncGenerator[Event | ModelPlan | NoPlan, None]:
    """Yields the events of the model calls for one plan, and last the outcome.

    The model's own reasoning is among the events; the text of its answer is not. The call requests an answer of the
    schema; without a schema the call has the tools. Planning stops at `ends`, a time of the event loop's clock. Raises
    UpstreamError.
    """
    if schema is None:
        source = _plan_natively(model, call, context)
    else:
        source = _plan_in_json(model, call, schema, context, repair)
    async with aclosing(limit_time(source, call.model, ends)) as events:
        async for event in events:
            yield NoPlan(is_late=True) if isinstance(event, TimeIsUp) else event


async def _plan_in_json(
    model: ResilientModel, call: ModelCall, schema: Schema[Plan], context: CallContext, repair: Repair
) -> AsyncGenerator[Event | ModelPlan | NoPlan, None]:
    answer = MessageBuilder()
    async with aclosing(stream_requested_answer(model, call, schema, _STEP, context, repair=repair)) as events:
        async for event in events:
            match event:
                case TypedAnswer(value=plan):
                    yield ModelPlan(plan, answer.build_message())
                    return
                case FlawedAnswer():
                    yield NoPlan()
                    return
                case ModelCallStarted():
                    answer = MessageBuilder()
                case InternalDelta(text=text):
                    answer.record(ContentDelta(text))
                case ReasoningDelta():
                    answer.record(event)
                case _:
                    pass
            yield event


async def _plan_natively(
    model: ResilientModel, call: ModelCall, context: CallContext
) -> AsyncGenerator[Event | ModelPlan | NoPlan, None]:
    answer, is_cut_short = MessageBuilder(), False
    async with aclosing(model.stream_call(call, _STEP, context)) as events:
        async for event in events:
            answer.record(event)
            match event:
                case ContentDelta(text=text) | ToolCallDelta(arguments=text):
                    yield InternalDelta(text)
                    continue
                case ModelCallStarted():
                    answer = MessageBuilder()
                case ModelCallFinished(finish_reason=finish_reason):
                    is_cut_short = finish_reason in _CUT_SHORT
                case _:
                    pass
            yield event
    message = answer.build_message()
    message = replace(message, content=tuple(map(_with_arguments, message.content)))
    has_no_plan = is_cut_short or any(isinstance(part.content, Refusal) for part in message.content)
    plan = _read_plan(message)
    yield ModelPlan(plan, message) if plan.tool_calls or not has_no_plan else NoPlan()


def _with_arguments(part: Part) -> Part:
    """Gives a tool call without arguments an empty JSON object, because some servers send nothing at all."""
    match part.content:
        case ToolCall(arguments=arguments) as call if not arguments.strip():
            return replace(part, content=replace(call, arguments="{}"))
        case _:
            return part


def _read_plan(answer: Message) -> Plan:
    """Reads a plan from tool calls: without any the model is ready, and several do not depend on each other."""
    thought = "".join(part.content.text for part in answer.content if isinstance(part.content, Text))
    calls = tuple(part.content for part in answer.content if isinstance(part.content, ToolCall))
    return Plan(thought, NextAction.USE_TOOLS if calls else NextAction.FINISH, calls, concurrent=len(calls) > 1)


def assign_unique_ids(planned: ModelPlan, step: str, taken: set[str]) -> ModelPlan:
    """Gives an id to each call that has none or that of another call of this answer, and adds the ids to `taken`.

    `step` names the step, and no other one of the answer. Some servers count their ids from zero in each answer.
    """
    calls: list[ToolCall] = []
    for number, call in enumerate(planned.plan.tool_calls, 1):
        is_unique = call.id and call.id not in taken
        calls.append(call if is_unique else replace(call, id=f"call_{step}_{number}"))
        taken.add(calls[-1].id)
    if tuple(calls) == planned.plan.tool_calls:
        return planned
    renamed = iter(calls)
    parts = (
        replace(part, content=next(renamed)) if isinstance(part.content, ToolCall) else part
        for part in planned.answer.content
    )
    return ModelPlan(replace(planned.plan, tool_calls=tuple(calls)), replace(planned.answer, content=tuple(parts)))
