"""Requests an answer of a schema, and yields the events of its model calls."""

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
    count_bytes,
    estimate_tokens,
)
from reasoning_grpc.domain.events import (
    ContentDelta,
    Event,
    InternalDelta,
    ModelCallFinished,
    ModelCallStarted,
    ToolCallDelta,
)
from reasoning_grpc.llm.call_events import stream_call
from reasoning_grpc.llm.port import LanguageModel, ModelCall
from reasoning_grpc.llm.structured.answer import AnswerText, FlawedAnswer, TypedAnswer
from reasoning_grpc.llm.structured.request import build_call, build_repair_call
from reasoning_grpc.llm.structured.schema import Schema

T = TypeVar("T")
_REPAIRABLE: Final = frozenset({AnswerFlaw.NOT_JSON, AnswerFlaw.WRONG_SHAPE, AnswerFlaw.TRUNCATED})
"""Flaws that a model can see in its own answer. A model that refused is not called again."""
_MAX_CHARACTERS: Final = 32 * 1024
"""Far more than any such answer has: it ends only an answer that ignores its limit of tokens."""


async def stream_structured_answer(
    model: LanguageModel,
    call: ModelCall,
    schema: Schema[T],
    purpose: ModelCallPurpose,
    context: CallContext,
    *,
    repair: Callable[[ModelCall], ModelCall | None] | None = lambda call: call,
    max_characters: int = _MAX_CHARACTERS,
) -> AsyncGenerator[Event | TypedAnswer[T] | FlawedAnswer, None]:
    """Yields the events of one or two model calls, and last `TypedAnswer` or `FlawedAnswer`.

    The text of an answer is yielded as `InternalDelta`s. The second call, for REPAIR, shows the model its answer and
    what is wrong with it. `repair` may change this call, or prevent it by None. An answer is read up to
    `max_characters`; limits of its tokens and its time are the caller's task.

    Raises:
        UpstreamError: A model call failed.
        ModelNotFound: The model table has no such model.
    """
    call = build_call(call, schema, [model.describe(name) for name in (call.model, *call.fallback_models)])
    outcome: TypedAnswer[T] | FlawedAnswer
    for call_purpose in (purpose, ModelCallPurpose.REPAIR):
        answer = AnswerText(max_characters)
        async with aclosing(_stream_answer(model, call, call_purpose, context, answer)) as events:
            async for event in events:
                yield event
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


async def _stream_answer(
    model: LanguageModel, call: ModelCall, purpose: ModelCallPurpose, context: CallContext, answer: AnswerText
) -> AsyncGenerator[Event, None]:
    """Yields the events of one model call, its text as `InternalDelta`s, and records them in `answer`."""
    attempt = ModelCallStarted(purpose, call.model)
    started = asyncio.get_running_loop().time()
    async with aclosing(stream_call(model, call, purpose, context)) as events:
        async for event in events:
            answer.record(event)
            if answer.is_too_long:
                break
            if isinstance(event, ModelCallStarted):
                attempt, started = event, asyncio.get_running_loop().time()
            yield InternalDelta(_read_text(event)) if isinstance(event, ContentDelta | ToolCallDelta) else event
    if answer.is_too_long:
        usage = attempt.meter.read() or _estimate_usage(attempt.input_tokens, answer.text)
        seconds = asyncio.get_running_loop().time() - started
        omitted = (call.omitted_messages, call.omitted_tokens)
        yield ModelCallFinished(
            purpose, attempt.model, attempt.attempt, FinishReason.LENGTH, "", usage, seconds, *omitted
        )


def _read_text(delta: ContentDelta | ToolCallDelta) -> str:
    return delta.text if isinstance(delta, ContentDelta) else delta.arguments


def _estimate_usage(input_tokens: int, answer: str) -> Usage:
    output_tokens = estimate_tokens(count_bytes(answer))
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.ESTIMATED)
