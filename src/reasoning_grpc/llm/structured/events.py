"""Asking a model for an answer of a schema, as events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, TypeVar

from reasoning_grpc.domain import (
    AnswerFlaw,
    CallContext,
    FinishReason,
    ModelCallPurpose,
    Usage,
    UsageSource,
    estimated_tokens,
    text_bytes,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ToolCallDelta,
    UnshownDelta,
)
from reasoning_grpc.llm.call_events import events_of_call
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.structured.answer import Answer, Answered, Unanswered
from reasoning_grpc.llm.structured.asking import asking, asking_again
from reasoning_grpc.llm.structured.schema import Schema

T = TypeVar("T")
_MENDABLE: Final = frozenset({AnswerFlaw.NOT_JSON, AnswerFlaw.WRONG_SHAPE, AnswerFlaw.TRUNCATED})
"""Flaws that a model can see when it is shown its answer. Who declined is not asked twice."""
_CHARACTERS: Final = 32 * 1024
"""Far more than such an answer has: it ends only what keeps to no limit of tokens."""


async def structured_events(
    model: LanguageModel,
    call: ModelCall,
    schema: Schema[T],
    purpose: ModelCallPurpose,
    context: CallContext,
    *,
    repair: Callable[[ModelCall], ModelCall | None] | None = lambda call: call,
    max_characters: int = _CHARACTERS,
) -> AsyncGenerator[Event | Answered[T] | Unanswered, None]:
    """Asks for an answer of a schema: the events of one or two model calls, and last `Answered` or `Unanswered`.

    What the model answers is among the events as `UnshownDelta`s. The second call, for REPAIR, shows the model its
    answer and what is wrong with it. It is made as `repair` gives it back; None: not at all. An answer is read up to
    `max_characters`; a limit of its tokens, and of the time, is for the caller to bring.

    Raises:
        UpstreamError: a model call failed.
        ModelNotFound: the table has no such model.
    """
    call = asking(call, schema, [model.describe(name) for name in (call.model, *call.fallback_models)])
    outcome: Answered[T] | Unanswered
    for turn in (purpose, ModelCallPurpose.REPAIR):
        answer = Answer(max_characters)
        async with aclosing(_events_of_answer(model, call, turn, context, answer)) as events:
            async for event in events:
                yield event
        outcome = answer.outcome(schema)
        if isinstance(outcome, Answered) or outcome.flaw not in _MENDABLE or not answer.text.strip():
            break
        if turn is not purpose or repair is None:
            break
        again = repair(asking_again(call, schema, answer.text, outcome.problem))
        if again is None:
            break
        call = again
    yield outcome


async def _events_of_answer(
    model: LanguageModel, call: ModelCall, purpose: ModelCallPurpose, context: CallContext, answer: Answer
) -> AsyncGenerator[Event, None]:
    """The events of one model call, what it answers unshown, and put into the answer."""
    attempt = ModelCallStarted(purpose, call.model)
    started = asyncio.get_running_loop().time()
    async with aclosing(events_of_call(model, call, purpose, context)) as events:
        async for event in events:
            answer.add(event)
            if answer.is_too_long:
                break
            if isinstance(event, ModelCallStarted):
                attempt, started = event, asyncio.get_running_loop().time()
            yield UnshownDelta(_text(event)) if isinstance(event, ContentDelta | ToolCallDelta) else event
    if answer.is_too_long:
        usage = _estimated_usage(attempt.input_tokens, answer.text)
        seconds = asyncio.get_running_loop().time() - started
        omitted = (call.omitted_messages, call.omitted_tokens)
        yield ModelCallFinished(
            purpose, attempt.model, attempt.attempt, FinishReason.LENGTH, "", usage, seconds, *omitted
        )


def _text(delta: ContentDelta | ToolCallDelta) -> str:
    return delta.text if isinstance(delta, ContentDelta) else delta.arguments


def _estimated_usage(input_tokens: int, answer: str) -> Usage:
    output_tokens = estimated_tokens(text_bytes(answer))
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.ESTIMATED)
