"""Keeping a model call within the context windows of its models: which messages are left out."""

import asyncio
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import Final

from reasoning_grpc.domain import (
    ContextPolicy,
    Media,
    Message,
    ModelInfo,
    Part,
    Role,
    Text,
    ToolCall,
    ToolResult,
    text_bytes,
)
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.port import LanguageModel, ModelCall, estimated_prompt_tokens
from reasoning_grpc.llm.token_estimates import estimated_text_tokens, prompt_tokens

_OUTPUT_TOKENS: Final = 1024
"""Room that is left for the answer where nothing says how long it may be; a quarter of a small window."""


class ContextWindows:
    """Keeps model calls within the windows of the models that may serve them."""

    def __init__(self, model: LanguageModel, *, unknown_window_tokens: int) -> None:
        """`unknown_window_tokens` is the window of models whose own is not known."""
        self._model = model
        self._unknown_window_tokens = unknown_window_tokens
        self._counting = ThreadPoolExecutor(1, "token counts")
        """Not one of the threads that every model call needs: a thread counts on for a call that was cancelled."""

    async def fit(
        self,
        call: ModelCall,
        policy: ContextPolicy | None,
        *,
        reserve_tokens: int = 0,
        head: int = 0,
        question: Message | None = None,
    ) -> ModelCall:
        """The call as the policy has it sent: whole, or without its oldest messages; see `fitted` for which.

        It fits each of its models, with room for the answer, and for `reserve_tokens` more; a fallback model that it
        cannot be made to fit is left out. With ERROR nothing is left out of it but such models, there is no reserve,
        and a model whose window is not known is taken to fit.

        Raises:
            ContextWindowExceeded: it cannot be made to fit `call.model`; no upstream was asked.
            ModelNotFound: there is no such model.
        """
        if policy is None:
            return call
        fitting: list[str] = []
        cut = partial(fitted, head=head, question=question)
        for name in (call.model, *call.fallback_models):
            info = self._model.describe(name)
            room = self._room(call, info, policy, reserve_tokens)
            try:
                call = await self._fit_one(replace(call, model=name), info, room, policy, cut)
            except ContextWindowExceeded:
                if not fitting:
                    raise
                continue
            fitting.append(name)
        return replace(call, model=fitting[0], fallback_models=tuple(fitting[1:]))

    async def _fit_one(
        self, call: ModelCall, info: ModelInfo, room: int | None, policy: ContextPolicy, cut: Callable[..., ModelCall]
    ) -> ModelCall:
        """The call without what does not fit its first model."""
        if room is None or prompt_tokens(call, text_bytes) <= room:
            return call
        if policy is ContextPolicy.ERROR:
            await self._refuse_what_is_over(call, info, room)
            return call
        return await self._in_thread(cut, call, room, self._model.count_tokens)

    async def _refuse_what_is_over(self, call: ModelCall, info: ModelInfo, room: int) -> None:
        """Raises ContextWindowExceeded, but not for what may fit: estimates are generous, and media count nothing."""
        count = self._model.count_tokens if info.encoding else estimated_prompt_tokens
        fitting = await self._in_thread(fitted, _without_media(call), room, count)
        if fitting.omitted_messages > call.omitted_messages:
            raise ContextWindowExceeded(model=call.model, reached=False)

    async def _in_thread(
        self, cut: Callable[..., ModelCall], call: ModelCall, room: int, count: Callable[[ModelCall], int]
    ) -> ModelCall:
        return await asyncio.get_running_loop().run_in_executor(self._counting, cut, call, room, count)

    def _room(self, call: ModelCall, info: ModelInfo, policy: ContextPolicy, reserve_tokens: int) -> int | None:
        """Tokens that the prompt may have; None: any number."""
        window = info.context_window_tokens
        if policy is ContextPolicy.ERROR:
            return None if window is None else window - self._added_tokens(call, info)
        if window is None:
            window = self._unknown_window_tokens
        return window - _output_tokens(call, info, window) - reserve_tokens - self._added_tokens(call, info)

    def _added_tokens(self, call: ModelCall, info: ModelInfo) -> int:
        """Tokens of the system message that the model's entry has for conversations without one."""
        if not info.system_prompt or any(message.role is Role.SYSTEM for message in call.messages):
            return 0
        added = ModelCall(model=call.model, messages=(Message(Role.SYSTEM, (Part(Text(info.system_prompt)),)),))
        return prompt_tokens(added, estimated_text_tokens)


def _without_media(call: ModelCall) -> ModelCall:
    messages = (
        replace(message, content=tuple(part for part in message.content if not isinstance(part.content, Media)))
        for message in call.messages
    )
    return replace(call, messages=tuple(messages))


def _output_tokens(call: ModelCall, info: ModelInfo, window: int) -> int:
    """Tokens kept free for the answer: as many as it may have, up to half of the window."""
    asked = call.sampling.max_output_tokens or info.default_output_tokens or min(_OUTPUT_TOKENS, window // 4)
    return min(asked, info.max_output_tokens or asked, window // 2)


def fitted(
    call: ModelCall,
    room_tokens: int,
    count: Callable[[ModelCall], int],
    *,
    head: int = 0,
    question: Message | None = None,
) -> ModelCall:
    """The call without as many of its oldest messages as it takes for its prompt to have `room_tokens` at most.

    What is left of the conversation begins with a message of the user, and no tool result in it lacks its call.
    System messages stay, so do the last message of the user and all that follows, and the first `head` messages.

    With a `question`, one of the messages, that one stays instead of the last one of the user. Where it is not enough
    to leave out what is before it, the oldest of what follows it goes as well, up to a message of the assistant: all
    but the last such message and what follows that.

    `count` is asked once a message, newest first, and not for those that are far out. Counts of parts must add up to
    that of the whole. What was left out is counted by an estimate.

    Raises ContextWindowExceeded when it does not fit even so.
    """
    messages, single = call.messages, replace(call, tools=(), response_format=None)
    tokens = cache(lambda index: count(replace(single, messages=(messages[index],))))
    stay = {index for index, message in enumerate(messages) if index < head or message.role is Role.SYSTEM}
    said = [index for index in range(len(messages)) if index not in stay]
    asked = len(messages) if question is None else max(at for at in said if messages[at] is question)
    room = room_tokens - count(replace(call, messages=())) - sum(map(tokens, stay))

    beginnings = {*said[:1], *(index for index in _beginnings(messages, Role.USER, head) if index <= asked)}
    first = _first_fitting(said, beginnings, room, tokens)
    if first is None and question is not None:
        stay.add(asked)
        after = [index for index in said if index > asked]
        first = _first_fitting(after, _beginnings(messages, Role.ASSISTANT, head), room - tokens(asked), tokens)
    if first is None:
        raise ContextWindowExceeded(model=call.model, reached=False)
    return _without_all_before(call, first, stay)


def _first_fitting(indices: Sequence[int], beginnings: set[int], room: int, tokens: Callable[[int], int]) -> int | None:
    """The first of the beginnings from which on all of these messages fit; None: not even from the last one on."""
    first = 0 if not indices and room >= 0 else None  # there is nothing to leave out
    for index in reversed(indices):
        room -= tokens(index)
        if room < 0:
            break
        if index in beginnings:
            first = index
    return first


def _beginnings(messages: Sequence[Message], role: Role, head: int) -> set[int]:
    """The messages of a role with which a conversation may go on after its head: no tool result then lacks its call."""
    found: set[int] = set()
    needed = _needed(messages, head)
    earliest = len(messages)
    for index in reversed(range(len(messages))):
        earliest = min(earliest, needed[index])
        if messages[index].role is role and earliest == index:
            found.add(index)
    return found


def _needed(messages: Sequence[Message], head: int) -> list[int]:
    """For each message the first that it needs after the head: a tool result the latest call of its id, else itself."""
    calls: dict[str, int] = {}
    needed: list[int] = []
    for index, message in enumerate(messages):
        contents = [part.content for part in message.content]
        results = [content.call_id for content in contents if isinstance(content, ToolResult)]
        needed.append(min((calls.get(call_id, index) for call_id in results), default=index))
        if index >= head:
            calls |= {content.id: index for content in contents if isinstance(content, ToolCall)}
    return needed


def _without_all_before(call: ModelCall, first: int, stay: Set[int]) -> ModelCall:
    kept = [index >= first or index in stay for index in range(len(call.messages))]
    if all(kept):
        return call
    omitted = tuple(message for message, stays in zip(call.messages, kept, strict=True) if not stays)
    gone = replace(call, messages=omitted, tools=(), response_format=None)
    return replace(
        call,
        messages=tuple(message for message, stays in zip(call.messages, kept, strict=True) if stays),
        omitted_messages=call.omitted_messages + len(omitted),
        omitted_tokens=call.omitted_tokens + prompt_tokens(gone, estimated_text_tokens),
    )
