"""Requests an answer of a schema, and yields the events of its model calls."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from reasoning_grpc.domain import AnswerFlaw, CallContext, ModelCallPurpose
from reasoning_grpc.domain.events import Event
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.resilient_model import ResilientModel
from reasoning_grpc.llm.structured.answer import FlawedAnswer, StructuredAnswer, TypedAnswer
from reasoning_grpc.llm.structured.request import build_call, build_repair_call
from reasoning_grpc.llm.structured.schema import Schema

T = TypeVar("T")
_REPAIRABLE: Final = frozenset({AnswerFlaw.NOT_JSON, AnswerFlaw.WRONG_SHAPE, AnswerFlaw.TRUNCATED})
"""Flaws that a model can see in its own answer. A model that refused is not called again."""
_MAX_CHARACTERS: Final = 32 * 1024
"""Far more than any such answer has: it ends only an answer that ignores its limit of tokens."""


def stream_structured_answer(
    model: ResilientModel,
    call: ModelCall,
    schema: Schema[T],
    purpose: ModelCallPurpose,
    context: CallContext,
    *,
    repair: Callable[[ModelCall], ModelCall | None] | None = lambda call: call,
    max_characters: int = _MAX_CHARACTERS,
) -> AsyncGenerator[Event | TypedAnswer[T] | FlawedAnswer, None]:
    """Adds the request for an answer of the schema to the call, and yields what `stream_requested_answer` yields.

    Raises ModelNotFound when the model table has no such model.
    """
    call = build_call(call, schema, [model.describe(name) for name in (call.model, *call.fallback_models)])
    return stream_requested_answer(model, call, schema, purpose, context, repair=repair, max_characters=max_characters)


async def stream_requested_answer(
    model: ResilientModel,
    call: ModelCall,
    schema: Schema[T],
    purpose: ModelCallPurpose,
    context: CallContext,
    *,
    repair: Callable[[ModelCall], ModelCall | None] | None = lambda call: call,
    max_characters: int = _MAX_CHARACTERS,
) -> AsyncGenerator[Event | TypedAnswer[T] | FlawedAnswer, None]:
    """Yields the events of one or two model calls, and last `TypedAnswer` or `FlawedAnswer`.

    The call requests an answer of the schema. The text of an answer is yielded as `InternalDelta`s. The second call,
    for REPAIR, shows the model its answer and what is wrong with it. `repair` may change this call, or prevent it by
    None. An answer is read up to `max_characters`; limits of its tokens and its time are the caller's task.

    Raises:
        UpstreamError: A model call failed.
        ModelNotFound: The model table has no such model.
    """
    outcome: TypedAnswer[T] | FlawedAnswer
    for call_purpose in (purpose, ModelCallPurpose.REPAIR):
        answer = StructuredAnswer(call, call_purpose, max_characters)
        async with aclosing(model.stream_call(call, call_purpose, context)) as events:
            async for event in events:
                converted = answer.record(event)
                if answer.is_too_long:
                    break
                yield converted
        if answer.is_too_long:
            yield answer.build_end()
        outcome = answer.parse(schema)
        if isinstance(outcome, TypedAnswer) or outcome.flaw not in _REPAIRABLE or not answer.text.strip():
            break
        if call_purpose is not purpose or repair is None:
            break
        repair_call = repair(build_repair_call(call, schema, answer.text, outcome.problem))
        if repair_call is None:
            break
        call = repair_call
    yield outcome
