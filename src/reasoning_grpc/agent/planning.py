"""Asking a model for its next plan: in JSON, or by the provider's own tool calls."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from reasoning_grpc.agent.plan import Plan, plan_schema
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
    ToolInfo,
)
from reasoning_grpc.domain.errors import UpstreamTimeout
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
    UnshownDelta,
)
from reasoning_grpc.domain.fold import AnswerParts
from reasoning_grpc.domain.streams import until
from reasoning_grpc.llm.call_events import CallUnderWay, events_of_call
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.structured import Answered, Unanswered, structured_events

Repair = Callable[[ModelCall], ModelCall | None]
"""The call that asks for a mended plan as it may be made; None: it may not."""
_STEP: Final = ModelCallPurpose.STEP
_BREAKS_OFF: Final = frozenset({FinishReason.LENGTH, FinishReason.CONTENT_FILTER})
"""Whose answer ends so has not said that it is ready."""


@dataclass(frozen=True, slots=True)
class Planned:
    """The model has a plan."""

    plan: Plan
    answer: Message
    """As the model gave it."""


@dataclass(frozen=True, slots=True)
class Unplanned:
    """It has none: what it answered could not be read, it broke off or declined, or it was too slow."""

    too_late: bool = False


async def planned_events(
    model: LanguageModel,
    call: ModelCall,
    tools: tuple[ToolInfo, ...],
    step: int,
    context: CallContext,
    *,
    native: bool,
    repair: Repair,
    ends: float,
) -> AsyncGenerator[Event | Planned | Unplanned, None]:
    """The events of the model calls of one plan, and last what came of them.

    What the model answers is not among them as deltas, its own reasoning is. With `native` the call has the tools; else
    they are put into its schema. At the time `ends` it is given up. Raises UpstreamError.
    """
    source = _native(model, call, context) if native else _in_json(model, call, tools, step, context, repair)
    under_way = CallUnderWay()
    async with aclosing(until(source, ends)) as events:
        while True:
            try:
                event = await anext(events, None)
            except TimeoutError:
                failed = under_way.failed(UpstreamTimeout(model=call.model))
                break
            if event is None:
                return
            under_way.note(event)
            yield event
    if failed is not None:
        yield failed
    yield Unplanned(too_late=True)


async def _in_json(
    model: LanguageModel, call: ModelCall, tools: tuple[ToolInfo, ...], step: int, context: CallContext, repair: Repair
) -> AsyncGenerator[Event | Planned | Unplanned, None]:
    answer = AnswerParts()
    asked = structured_events(model, call, plan_schema(tools, step), _STEP, context, repair=repair)
    async with aclosing(asked) as events:
        async for event in events:
            match event:
                case Answered(value=plan):
                    yield Planned(plan, answer.message())
                    return
                case Unanswered():
                    yield Unplanned()
                    return
                case ModelCallStarted():
                    answer = AnswerParts()
                case UnshownDelta(text=text):
                    answer.add(ContentDelta(text))
                case ReasoningDelta():
                    answer.add(event)
                case _:
                    pass
            yield event


async def _native(
    model: LanguageModel, call: ModelCall, context: CallContext
) -> AsyncGenerator[Event | Planned | Unplanned, None]:
    answer, broken_off = AnswerParts(), False
    async with aclosing(events_of_call(model, call, _STEP, context)) as events:
        async for event in events:
            answer.add(event)
            match event:
                case ContentDelta(text=text) | ToolCallDelta(arguments=text):
                    yield UnshownDelta(text)
                    continue
                case ModelCallStarted():
                    answer = AnswerParts()
                case ModelCallFinished(finish_reason=finish_reason):
                    broken_off = finish_reason in _BREAKS_OFF
                case _:
                    pass
            yield event
    message = answer.message()
    message = replace(message, content=tuple(map(_with_arguments, message.content)))
    declined = broken_off or any(isinstance(part.content, Refusal) for part in message.content)
    plan = _plan_of(message)
    yield Planned(plan, message) if plan.tool_calls or not declined else Unplanned()


def _with_arguments(part: Part) -> Part:
    """A part of an answer; a call without arguments, for which some servers say nothing, has an object of none."""
    match part.content:
        case ToolCall(arguments=arguments) as call if not arguments.strip():
            return replace(part, content=replace(call, arguments="{}"))
        case _:
            return part


def _plan_of(answer: Message) -> Plan:
    """Without a tool call the model is ready; several at once do not depend on each other."""
    thought = "".join(part.content.text for part in answer.content if isinstance(part.content, Text))
    calls = tuple(part.content for part in answer.content if isinstance(part.content, ToolCall))
    return Plan(thought, NextAction.USE_TOOLS if calls else NextAction.FINISH, calls, concurrent=len(calls) > 1)


def with_own_ids(planned: Planned, step: int, taken: set[str]) -> Planned:
    """The same with ids that no other call of this answer has: some servers number from zero each time."""
    names: dict[str, str] = {}
    for number, call in enumerate(planned.plan.tool_calls, 1):
        names[call.id] = call.id if call.id and call.id not in taken else f"call_{step}_{number}"
        taken.add(names[call.id])
    calls = tuple(replace(call, id=names[call.id]) for call in planned.plan.tool_calls)
    parts = tuple(_renamed(part, names) for part in planned.answer.content)
    return Planned(replace(planned.plan, tool_calls=calls), replace(planned.answer, content=parts))


def _renamed(part: Part, names: dict[str, str]) -> Part:
    if not isinstance(part.content, ToolCall):
        return part
    return replace(part, content=replace(part.content, id=names.get(part.content.id, part.content.id)))
