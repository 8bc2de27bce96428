"""The planner: asks a model to split a request into tasks."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.agent import Transcript, estimate_reasoning_tokens
from reasoning_grpc.domain import CallContext, Message, ModelCallPurpose, ModelInfo, RouteChangeCause, Sampling
from reasoning_grpc.domain.events import Event, InternalDelta, ReasoningDelta
from reasoning_grpc.llm import ModelCall, ResilientModel, TimeIsUp, limit_time
from reasoning_grpc.llm.structured import FlawedAnswer, Schema, TypedAnswer, stream_structured_answer
from reasoning_grpc.orchestrator.plan import Draft

_PLAN_TOKENS: Final = 2048
"""The most tokens of a plan. The model's own reasoning is added to them."""
_PART_OF_WINDOW: Final = 4
"""A plan may fill one part in this many of the model's context window."""
_LARGE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class NoPlan:
    """The outcome of planning when there is no plan that can be used."""

    cause: RouteChangeCause
    problem: str
    """What is wrong, in a sentence without any text of the model."""


def build_plan_call(
    direct: ModelCall, info: ModelInfo, instructions: str, results: str = "", examples: Sequence[Message] = ()
) -> tuple[ModelCall, int]:
    """Builds the call that asks for a plan, and returns it with the number of messages before the conversation.

    `results` are those of an earlier plan, and what to do about them.
    """
    transcript = Transcript(
        direct.messages, instructions, native=False, system_prompt=info.system_prompt, examples=examples
    )
    messages = transcript.messages()
    if results:
        messages = (*messages[:-1], messages[-1].append_text(results))
    plan_tokens = min(_PLAN_TOKENS, (info.context_window_tokens or _LARGE) // _PART_OF_WINDOW)
    most = min(estimate_reasoning_tokens(direct.reasoning, info) + plan_tokens, info.max_output_tokens or _LARGE)
    call = replace(
        direct,
        messages=messages,
        sampling=Sampling(max_output_tokens=most, seed=direct.sampling.seed),
        response_format=None,
        tools=(),
        tool_choice=None,
        parallel_tool_calls=None,
        include_reasoning=False,
    )
    return call, transcript.head


async def plan_events(
    model: ResilientModel,
    call: ModelCall,
    schema: Schema[tuple[Draft, ...]],
    context: CallContext,
    *,
    repair: Callable[[ModelCall], ModelCall | None],
    ends: float,
) -> AsyncGenerator[Event | tuple[Draft, ...] | NoPlan, None]:
    """Yields the events of the model calls for a plan, and last the tasks, or `NoPlan`.

    Nothing that the model writes is among the events. Planning stops at `ends`, a time of the event loop's clock.
    Raises UpstreamError.
    """
    source = stream_structured_answer(
        model, call, schema, ModelCallPurpose.PLAN, replace(context, deadline=ends), repair=repair
    )
    async with aclosing(limit_time(source, call.model, ends)) as events:
        async for event in events:
            match event:
                case TimeIsUp():
                    yield NoPlan(RouteChangeCause.PLAN_LATE, "It took too long.")
                case TypedAnswer(value=drafts):
                    yield drafts
                case FlawedAnswer(problem=problem):
                    yield NoPlan(RouteChangeCause.PLAN_UNUSABLE, problem)
                case ReasoningDelta(text=text):
                    yield InternalDelta(text)
                case _:
                    yield event
