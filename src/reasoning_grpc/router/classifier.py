"""`Classifier`: a model says which of some routes a request should take."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cachetools import TTLCache

from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.domain import (
    ANONYMOUS,
    CallContext,
    Classification,
    CompletionRequest,
    ModelCallPurpose,
    ModelInfo,
    ModelSourceKind,
)
from reasoning_grpc.domain.errors import (
    ContextWindowExceeded,
    ModelNotFound,
    ReasoningError,
    UpstreamError,
    UpstreamTimeout,
)
from reasoning_grpc.domain.events import Event, ReasoningDelta, UnshownDelta
from reasoning_grpc.llm.call_events import CallUnderWay
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimated_prompt_tokens
from reasoning_grpc.llm.structured import Answered, Schema, Unanswered, object_of, one_of, structured_events
from reasoning_grpc.router.prompt import ClassifierPrompt, shown
from reasoning_grpc.router.routes import Route
from reasoning_grpc.router.window import conversation_window

Listener = Callable[[Event], object]
"""Hears the events of model calls when they happen."""

_HOSTED_SECONDS: Final = 2.0
_EMBEDDED_SECONDS: Final = 15.0
_SHARE_OF_DEADLINE: Final = 0.25
"""Of the time that the caller gives: the answer needs the rest."""
_PART_OF_WINDOW: Final = 8
"""A small window is that of a slow model, for which such a part of it is enough to read; and our count is a guess."""
_SPARE_TOKENS: Final = 128
"""For the answer."""
_LEAST_TOKENS: Final = 32
"""Of fewer of a conversation there is nothing to tell."""
_ANSWER_CHARACTERS: Final = 4096
_NO_MODEL: Final = "Neither the classifier nor the server has a model of its own to ask."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking the classifier."""

    route: str = ""
    """Empty: it did not say."""
    classification: Classification | None = None
    """None: it had said it before."""


class Classifying(Protocol):
    """Says which of some routes a request should take."""

    async def verdict(
        self,
        request: CompletionRequest,
        routes: Sequence[Route],
        context: CallContext,
        hear: Listener,
        *,
        rules_only: bool = False,
    ) -> Verdict:
        """Which of the routes the request should take. With `rules_only` no model is asked.

        `hear` gets the events of the model calls. A model that fails, is too slow, or does not answer as it should is
        no error: the verdict says so.
        """
        ...


class Classifier:
    """Asks a model for the route of a request, and remembers what it said."""

    def __init__(
        self, model: LanguageModel, table: ModelTable, entry: ClassifierEntry, prompt: ClassifierPrompt
    ) -> None:
        self._model = model
        self._table = table
        self._entry = entry
        self._prompt = prompt
        self._said: TTLCache[bytes, str] = TTLCache(
            entry.cache_entries, entry.cache_ttl_seconds, timer=lambda: asyncio.get_running_loop().time()
        )

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
        names = tuple(route.name for route in routes)
        asked = Classification(model=self._entry.model or self._table.default(), routes=names)
        if not asked.model:
            return Verdict(classification=replace(asked, failure=ModelNotFound.reason, failure_detail=_NO_MODEL))
        try:
            info = await self._table.chosen(asked.model, ANONYMOUS)
        except ReasoningError as error:
            return Verdict(classification=_failed(asked, error))
        prompt = ModelCall(
            model=info.name, messages=tuple(self._prompt.messages(routes, info)), end_user=request.end_user
        )
        room = _room(prompt, info)
        if room is not None and room < _LEAST_TOKENS:
            return Verdict(classification=_failed(asked, ContextWindowExceeded(model=info.name, reached=False)))
        call = self._call(prompt, request, room)
        key = _key(call, names, context)
        if route := self._said.get(key):
            return Verdict(route)
        if rules_only:
            return Verdict(classification=replace(asked, skipped=True))
        verdict = await self._asked(call, asked, self._bounded(context, info), hear)
        if verdict.route and self._said.maxsize:
            self._said[key] = verdict.route
        return verdict

    def _call(self, prompt: ModelCall, request: CompletionRequest, room: int | None) -> ModelCall:
        window = conversation_window(
            request.messages,
            max_messages=self._entry.window_messages,
            max_characters=self._entry.window_characters,
            max_tokens=room,
        )
        return replace(prompt, messages=(*prompt.messages, shown(window)))

    def _bounded(self, context: CallContext, info: ModelInfo) -> CallContext:
        """The context with the classifier's own deadline."""
        usual = _EMBEDDED_SECONDS if info.source is ModelSourceKind.EMBEDDED else _HOSTED_SECONDS
        seconds, remaining = self._entry.timeout_seconds or usual, context.remaining_seconds()
        if remaining is not None:
            seconds = min(seconds, remaining * _SHARE_OF_DEADLINE)
        return replace(context, deadline=asyncio.get_running_loop().time() + seconds)

    async def _asked(self, call: ModelCall, asked: Classification, context: CallContext, hear: Listener) -> Verdict:
        started = asyncio.get_running_loop().time()
        outcome = await self._outcome(call, asked.routes, context, hear)
        asked = replace(asked, latency_seconds=asyncio.get_running_loop().time() - started)
        match outcome:
            case Answered(value=route):
                return Verdict(route, asked)
            case Unanswered(flaw=flaw, problem=problem):
                return Verdict(classification=replace(asked, flaw=flaw, failure_detail=problem))
            case error:
                return Verdict(classification=_failed(asked, error))

    async def _outcome(
        self, call: ModelCall, names: tuple[str, ...], context: CallContext, hear: Listener
    ) -> Answered[str] | Unanswered | ReasoningError:
        heard = _Hearing(hear)
        try:
            async with asyncio.timeout_at(context.deadline) as own:
                return await self._answer(call, names, context, heard.hear)
        except (UpstreamError, ModelNotFound) as error:
            heard.failed(error)
            return error
        except TimeoutError:
            if not own.expired():
                raise
            late = UpstreamTimeout(model=call.model)
            heard.failed(late)
            return late

    async def _answer(
        self, call: ModelCall, names: tuple[str, ...], context: CallContext, hear: Listener
    ) -> Answered[str] | Unanswered:
        schema = Schema("route", object_of(route=one_of(names)), _route)
        events = structured_events(
            self._model, call, schema, ModelCallPurpose.ROUTING, context, max_characters=_ANSWER_CHARACTERS
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Answered | Unanswered):
                    return event
                hear(event)
        raise AssertionError("structured_events ends with an outcome")


class _Hearing:
    """Passes events on, none of them for the caller's eyes, and tells of a failure."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._call = CallUnderWay()

    def hear(self, event: Event) -> None:
        self._call.note(event)
        self._listener(UnshownDelta(event.text) if isinstance(event, ReasoningDelta) else event)

    def failed(self, error: ReasoningError) -> None:
        if (failed := self._call.failed(error)) is not None:
            self._listener(failed)


def _route(value: Mapping[str, str]) -> str:
    return value["route"]


def _failed(asked: Classification, error: ReasoningError) -> Classification:
    return replace(asked, failure=error.reason, failure_detail=str(error))


def _room(prompt: ModelCall, info: ModelInfo) -> int | None:
    """Tokens of a conversation that fit into the model's window beside the prompt; None: any."""
    window = info.context_window_tokens
    if window is None:
        return None
    return min(window // _PART_OF_WINDOW, window - estimated_prompt_tokens(prompt) - _SPARE_TOKENS)


def _key(call: ModelCall, names: tuple[str, ...], context: CallContext) -> bytes:
    """What makes a question the same; no words of the conversation stay in memory, and callers share nothing."""
    words = [part.content for message in call.messages for part in message.content]
    return hashlib.sha256(repr((context.caller.name, call.model, names, words)).encode()).digest()
