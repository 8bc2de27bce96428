"""`ContextWindows`: keeps a model call within the context windows of its models."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol

from msgspec.structs import replace

from reasoning_grpc.domain import (
    ContextPolicy,
    Media,
    Message,
    ModelInfo,
    Part,
    Role,
    Text,
)
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.omission import omit_oldest_messages
from reasoning_grpc.llm.port import ModelCall, estimate_prompt_tokens
from reasoning_grpc.llm.prompt_size import PromptSize
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens

_OUTPUT_TOKENS: Final = 1024
"""The room for an answer whose length nothing limits; in a small window, it is a quarter of the window."""


class CountingModel(Protocol):
    """Knows models, and counts the tokens of their calls."""

    def describe(self, model: str) -> ModelInfo:
        """See `LanguageModel.describe`."""
        ...

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        ...


class ContextWindows:
    """Keeps model calls within the windows of the models that may serve them."""

    def __init__(
        self, model: CountingModel, *, unknown_window_tokens: int, counting: ThreadPoolExecutor | None = None
    ) -> None:
        """`unknown_window_tokens` is the assumed window of models whose own is not known.

        `counting` is the thread that counts tokens, if there is one already.
        """
        self._model = model
        self._unknown_window_tokens = unknown_window_tokens
        self._counting = counting or ThreadPoolExecutor(1, "token counts")
        """A thread of its own: it goes on counting when its call is cancelled, and model calls need the shared ones."""

    def with_model(self, model: CountingModel, *, unknown_window_tokens: int) -> "ContextWindows":
        """Returns the windows of other models, whose tokens the same thread counts."""
        return ContextWindows(model, unknown_window_tokens=unknown_window_tokens, counting=self._counting)

    def start(self) -> None:
        """Starts the thread that counts tokens, so that none is started while calls are served."""
        self._counting.submit(int)

    async def fit(
        self,
        call: ModelCall,
        policy: ContextPolicy | None,
        *,
        reserve_tokens: int = 0,
        head: int = 0,
        question: Message | None = None,
        size: PromptSize | None = None,
    ) -> ModelCall:
        """Returns the call as the policy wants it: whole, or without its oldest messages; see `omit_oldest_messages`.

        The call fits each of its models, with room for the answer and for `reserve_tokens` more. A fallback model for
        which no omission suffices is left out. With ERROR, only such models are left out, nothing is reserved,
        and a model with an unknown window counts as large enough.

        `size` is that of the prompt; it counts again only what is new. Without it the whole prompt is counted.

        Raises:
            ContextWindowExceeded: No omission makes the call fit `call.model`. No upstream was called.
            ModelNotFound: There is no such model.
        """
        if policy is None:
            return call
        if size is None:
            size = PromptSize(call)
            size.count(call.messages)
        fitting: list[str] = []
        omit = partial(omit_oldest_messages, head=head, question=question)
        for name in (call.model, *call.fallback_models):
            info = self._model.describe(name)
            room = self._compute_room(call, info, policy, reserve_tokens)
            try:
                call = await self._fit_one(replace(call, model=name), info, room, policy, omit, size)
            except ContextWindowExceeded:
                if not fitting:
                    raise
                continue
            fitting.append(name)
        return replace(call, model=fitting[0], fallback_models=tuple(fitting[1:]))

    async def _fit_one(
        self,
        call: ModelCall,
        info: ModelInfo,
        room: int | None,
        policy: ContextPolicy,
        omit: Callable[..., ModelCall],
        size: PromptSize,
    ) -> ModelCall:
        """Returns the call without the messages that do not fit its first model."""
        if room is None or size.most_tokens <= room:
            return call
        if policy is ContextPolicy.ERROR:
            await self._check_fit(call, info, room)
            return call
        return await self._run_in_thread(omit, call, room, partial(size.count_tokens, self._model.count_tokens))

    async def _check_fit(self, call: ModelCall, info: ModelInfo, room: int) -> None:
        """Raises ContextWindowExceeded if the call cannot fit: it counts low estimates and leaves out media."""
        count = self._model.count_tokens if info.encoding else estimate_prompt_tokens
        fitting = await self._run_in_thread(omit_oldest_messages, _remove_media(call), room, count)
        if fitting.omitted_messages > call.omitted_messages:
            raise ContextWindowExceeded(model=call.model, is_upstream_reached=False)

    async def _run_in_thread(
        self, omit: Callable[..., ModelCall], call: ModelCall, room: int, count: Callable[[ModelCall], int]
    ) -> ModelCall:
        return await asyncio.get_running_loop().run_in_executor(self._counting, omit, call, room, count)

    def _compute_room(self, call: ModelCall, info: ModelInfo, policy: ContextPolicy, reserve_tokens: int) -> int | None:
        """Returns how many tokens the prompt may have; None for any number."""
        window = info.context_window_tokens
        if policy is ContextPolicy.ERROR:
            return None if window is None else window - self._count_added_tokens(call, info)
        if window is None:
            window = self._unknown_window_tokens
        return window - _reserve_output(call, info, window) - reserve_tokens - self._count_added_tokens(call, info)

    def _count_added_tokens(self, call: ModelCall, info: ModelInfo) -> int:
        """Returns the tokens of the system message that the adapter adds to a conversation without one."""
        if not info.system_prompt or any(message.role is Role.SYSTEM for message in call.messages):
            return 0
        added = ModelCall(model=call.model, messages=(Message(Role.SYSTEM, (Part(Text(info.system_prompt)),)),))
        return sum_prompt_tokens(added, estimate_text_tokens)


def _remove_media(call: ModelCall) -> ModelCall:
    messages = (
        replace(message, content=tuple(part for part in message.content if not isinstance(part.content, Media)))
        for message in call.messages
    )
    return replace(call, messages=tuple(messages))


def _reserve_output(call: ModelCall, info: ModelInfo, window: int) -> int:
    """Returns the tokens kept free for the answer: as many as it may have, but at most half of the window."""
    requested = call.sampling.max_output_tokens or info.default_output_tokens or min(_OUTPUT_TOKENS, window // 4)
    return min(requested, info.max_output_tokens or requested, window // 2)
