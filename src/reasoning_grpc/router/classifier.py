"""`ModelClassifier`: asks a model which route a request should take."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from cachetools import TTLCache
from msgspec.structs import replace

from reasoning_grpc.catalog import ModelTable
from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.domain import (
    ANONYMOUS,
    CallContext,
    Classification,
    CompletionRequest,
    ModelCallPurpose,
    ModelInfo,
    ModelSourceKind,
    read_clock,
)
from reasoning_grpc.domain.errors import (
    ContextWindowExceeded,
    ModelNotFound,
    ReasoningError,
    UpstreamError,
    UpstreamTimeout,
)
from reasoning_grpc.domain.events import Event, InternalDelta, ReasoningDelta
from reasoning_grpc.llm import CallInProgress, ModelCall, ResilientModel, estimate_prompt_tokens
from reasoning_grpc.llm.structured import FlawedAnswer, Schema, TypedAnswer, object_of, one_of, stream_structured_answer
from reasoning_grpc.router.prompt import ClassifierPrompt, conversation_message
from reasoning_grpc.router.routes import Route
from reasoning_grpc.router.window import conversation_window

EventCallback = Callable[[Event], object]
"""Receives the events of model calls as they happen."""

_HOSTED_SECONDS: Final = 2.0
_EMBEDDED_SECONDS: Final = 15.0
_SHARE_OF_DEADLINE: Final = 0.25
"""The part of the caller's remaining time that classifying may take; the answer needs the rest."""
_PART_OF_CONTEXT_WINDOW: Final = 8
"""The prompt may fill one part in so many of the model's context window: a small window belongs to a slow model, which
reads that much in time, and our token count is an estimate."""
_ANSWER_TOKENS: Final = 128
"""Tokens kept free for the model's answer."""
_MIN_CONVERSATION_TOKENS: Final = 32
"""Fewer tokens of a conversation say nothing about its route."""
_MAX_ANSWER_CHARACTERS: Final = 4096
_NO_MODEL: Final = "Neither the classifier nor the server has a model of its own to ask."


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of classifying a request."""

    route: str = ""
    """Empty when the classifier gave no usable answer."""
    classification: Classification | None = None
    """None when the route comes from the cache."""
    confidence: float | None = None
    """The probability that the route is right, where the embedding chose it; None where a model or the cache did."""


class Classifier(Protocol):
    """Says which of some routes a request should take."""

    async def classify(
        self,
        request: CompletionRequest,
        routes: Sequence[Route],
        context: CallContext,
        on_event: EventCallback,
        *,
        rules_only: bool = False,
    ) -> Verdict:
        """Returns the route that the request should take. With `rules_only` it calls no model.

        `on_event` receives the events of the model calls. A model that fails, is too slow or gives an unusable answer
        raises no error: the verdict says so.
        """
        ...


class ModelClassifier:
    """Asks a model for the route of a request, and caches its answers."""

    def __init__(
        self, model: ResilientModel, table: ModelTable, entry: ClassifierEntry, prompt: ClassifierPrompt
    ) -> None:
        self._model = model
        self._table = table
        self._entry = entry
        self._prompt = prompt
        self._cache: TTLCache[bytes, str] = TTLCache(entry.cache_entries, entry.cache_ttl_seconds, timer=read_clock)

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
        names = tuple(route.name for route in routes)
        draft = Classification(model=self._entry.model or self._table.find_default(), routes=names)
        if not draft.model:
            return Verdict(classification=replace(draft, failure=ModelNotFound.reason, failure_detail=_NO_MODEL))
        try:
            info = await self._table.find_model(draft.model, ANONYMOUS)
        except ReasoningError as error:
            return Verdict(classification=_with_failure(draft, error))
        prompt = ModelCall(
            model=info.name, messages=tuple(self._prompt.messages(routes, info)), end_user=request.end_user
        )
        room = _tokens_for_conversation(prompt, info)
        if room is not None and room < _MIN_CONVERSATION_TOKENS:
            return Verdict(
                classification=_with_failure(draft, ContextWindowExceeded(model=info.name, is_upstream_reached=False))
            )
        call = self._build_call(prompt, request, room)
        key = _cache_key(call, names, context)
        if route := self._cache.get(key):
            return Verdict(route)
        if rules_only:
            return Verdict(classification=replace(draft, skipped=True))
        verdict = await self._ask(call, draft, self._with_own_deadline(context, info), on_event)
        if verdict.route and self._cache.maxsize:
            self._cache[key] = verdict.route
        return verdict

    def _build_call(self, prompt: ModelCall, request: CompletionRequest, room: int | None) -> ModelCall:
        """Adds the conversation, within `room` tokens, to the prompt."""
        window = conversation_window(
            request.messages,
            max_messages=self._entry.window_messages,
            max_characters=self._entry.window_characters,
            max_tokens=room,
        )
        return replace(prompt, messages=(*prompt.messages, conversation_message(window)))

    def _with_own_deadline(self, context: CallContext, info: ModelInfo) -> CallContext:
        """Returns the context with the deadline of the classifier in place of the caller's."""
        usual = _EMBEDDED_SECONDS if info.source is ModelSourceKind.EMBEDDED else _HOSTED_SECONDS
        seconds, remaining = self._entry.timeout_seconds or usual, context.remaining_seconds()
        if remaining is not None:
            seconds = min(seconds, remaining * _SHARE_OF_DEADLINE)
        return replace(context, deadline=read_clock() + seconds)

    async def _ask(
        self, call: ModelCall, draft: Classification, context: CallContext, on_event: EventCallback
    ) -> Verdict:
        started = read_clock()
        outcome = await self._run(call, draft.routes, context, on_event)
        classification = replace(draft, latency_seconds=read_clock() - started)
        match outcome:
            case TypedAnswer(value=route):
                return Verdict(route, classification)
            case FlawedAnswer(flaw=flaw, problem=problem):
                return Verdict(classification=replace(classification, flaw=flaw, failure_detail=problem))
            case error:
                return Verdict(classification=_with_failure(classification, error))

    async def _run(
        self, call: ModelCall, names: tuple[str, ...], context: CallContext, on_event: EventCallback
    ) -> TypedAnswer[str] | FlawedAnswer | ReasoningError:
        """Makes the model call, and returns an upstream's failure or the missed deadline in place of raising it."""
        reporter = _EventReporter(on_event)
        try:
            async with asyncio.timeout_at(context.deadline) as deadline:
                return await self._read_route(call, names, context, reporter.report)
        except (UpstreamError, ModelNotFound) as error:
            reporter.report_failure(error)
            return error
        except TimeoutError:
            if not deadline.expired():
                raise
            late = UpstreamTimeout(model=call.model)
            reporter.report_failure(late)
            return late

    async def _read_route(
        self, call: ModelCall, names: tuple[str, ...], context: CallContext, on_event: EventCallback
    ) -> TypedAnswer[str] | FlawedAnswer:
        schema = Schema("route", object_of(route=one_of(names)), _route_of)
        events = stream_structured_answer(
            self._model, call, schema, ModelCallPurpose.ROUTING, context, max_characters=_MAX_ANSWER_CHARACTERS
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, TypedAnswer | FlawedAnswer):
                    return event
                on_event(event)
        raise AssertionError("stream_structured_answer ends with an outcome")


class _EventReporter:
    """Passes on the events of the classifier's model call, without text that the caller could see."""

    def __init__(self, on_event: EventCallback) -> None:
        self._on_event = on_event
        self._call = CallInProgress()

    def report(self, event: Event) -> None:
        self._call.record(event)
        self._on_event(InternalDelta(event.text) if isinstance(event, ReasoningDelta) else event)

    def report_failure(self, error: ReasoningError) -> None:
        if (failed := self._call.build_failure(error)) is not None:
            self._on_event(failed)


def _route_of(value: Mapping[str, str]) -> str:
    return value["route"]


def _with_failure(classification: Classification, error: ReasoningError) -> Classification:
    return replace(classification, failure=error.reason, failure_detail=str(error))


def _tokens_for_conversation(prompt: ModelCall, info: ModelInfo) -> int | None:
    """Returns how many tokens of a conversation fit into the model's window beside the prompt; None means any."""
    window = info.context_window_tokens
    if window is None:
        return None
    return min(window // _PART_OF_CONTEXT_WINDOW, window - estimate_prompt_tokens(prompt) - _ANSWER_TOKENS)


def _cache_key(call: ModelCall, names: tuple[str, ...], context: CallContext) -> bytes:
    """Returns a hash of the question.

    A hash keeps no words of the conversation in memory, and the caller's name in it keeps callers from sharing entries.
    """
    words = [part.content for message in call.messages for part in message.content]
    return hashlib.sha256(repr((context.caller.name, call.model, names, words)).encode()).digest()
