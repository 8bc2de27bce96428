"""How a model call is kept within the context windows of its models."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import pytest

from reasoning_grpc.domain import (
    ContextPolicy,
    Media,
    Message,
    ModelInfo,
    Part,
    Role,
    Sampling,
)
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens
from tests.support.conversations import make_message
from tests.support.factories import a_call, a_message
from tests.support.models import ScriptedModel, a_model

LONG: Final = "four" * 94
"""A message of 100 estimated tokens, including those around its text."""
TALK: Final = tuple(a_message(LONG, (Role.USER, Role.ASSISTANT)[index % 2]) for index in range(41))


def estimate_tokens(call: ModelCall) -> int:
    """Counts one token for each four bytes."""
    return sum_prompt_tokens(call, estimate_text_tokens)


class EstimatingModel(ScriptedModel):
    """A model that counts one token for each four bytes."""

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        return estimate_tokens(call)


async def fit_talk(policy: ContextPolicy | None, *models: ModelInfo, **fields: Any) -> ModelCall:
    """Fits TALK to these models: the first is called, the others are its fallbacks."""
    windows = ContextWindows(EstimatingModel(models=models), unknown_window_tokens=2000)
    names = [model.name for model in models]
    call = a_call(**{"model": names[0], "fallback_models": tuple(names[1:]), "messages": TALK, **fields})
    return await windows.fit(call, policy)


ROOMS: Final = [
    pytest.param({"context_window_tokens": 5000}, {}, 3976, id="a default reserve"),
    pytest.param({"context_window_tokens": 4000}, {"max_output_tokens": 1500}, 2500, id="as requested"),
    pytest.param({"context_window_tokens": 4000, "default_output_tokens": 200}, {}, 3800, id="the entry's"),
    pytest.param(
        {"context_window_tokens": 4000, "default_output_tokens": 200}, {"max_output_tokens": 500}, 3500, id="requested"
    ),
    pytest.param({"context_window_tokens": 4000, "max_output_tokens": 300}, {}, 3700, id="the model's limit"),
    pytest.param({"context_window_tokens": 4000}, {"max_output_tokens": 9000}, 2000, id="half of the window at most"),
    pytest.param({"context_window_tokens": 3200}, {}, 2400, id="a quarter of a small window"),
    pytest.param({}, {}, 1500, id="an unknown window"),
    pytest.param({"context_window_tokens": 4000, "system_prompt": LONG * 4}, {}, 2618, id="the entry's system message"),
]


@pytest.mark.parametrize(("known", "sampling", "room"), ROOMS)
async def test_how_much_is_kept_free(known: dict[str, Any], sampling: dict[str, Any], room: int) -> None:
    """Room is kept for the answer, and for the system message of the model's entry."""
    call = await fit_talk(ContextPolicy.TRUNCATE_OLDEST, a_model(**known), sampling=Sampling(**sampling))

    assert room - 200 < estimate_tokens(call) <= room
    assert call.messages == TALK[call.omitted_messages :]


async def test_an_own_system_message_takes_the_place_of_the_entrys() -> None:
    """A conversation's own system message replaces the entry's, which then is not counted."""
    own = a_message(LONG, Role.SYSTEM)
    model = a_model(context_window_tokens=4000, system_prompt=LONG * 4)

    call = await fit_talk(ContextPolicy.TRUNCATE_OLDEST, model, messages=(own, *TALK))

    assert len(call.messages) == 30
    assert call.messages[0] is own


async def test_a_call_fits_each_of_its_models() -> None:
    """The smallest window counts; a fallback model whose window is too small for any rest is left out."""
    models = [
        a_model(name="big", context_window_tokens=6000),
        a_model(name="small", context_window_tokens=1000),
        a_model(name="tiny", context_window_tokens=100),
        a_model(name="huge", context_window_tokens=99_000),
    ]

    call = await fit_talk(ContextPolicy.TRUNCATE_OLDEST, *models)

    assert call.model == "big"
    assert call.fallback_models == ("small", "huge")
    assert estimate_tokens(call) == 700
    assert call.omitted_messages == 34


async def test_a_callers_own_reserve() -> None:
    """Tokens that are yet to be added to a prompt are kept free, too."""
    windows = ContextWindows(EstimatingModel(models=[a_model()]), unknown_window_tokens=2000)

    call = await windows.fit(a_call(messages=TALK), ContextPolicy.TRUNCATE_OLDEST, reserve_tokens=700)

    assert estimate_tokens(call) == 700


async def test_a_question_stays_for_each_of_the_models() -> None:
    """Head and question stay the same messages, however many messages the windows of other models removed."""
    question = a_message("Which?")
    steps = [make_message("c1"), make_message("r1"), a_message(LONG, Role.ASSISTANT), a_message(LONG)]
    messages = (a_message("first"), a_message("example", Role.ASSISTANT), *TALK, question, *steps)
    models = [a_model(name="big", context_window_tokens=3000), a_model(name="small", context_window_tokens=600)]
    windows = ContextWindows(EstimatingModel(models=models), unknown_window_tokens=1)

    call = await windows.fit(
        a_call(model="big", messages=messages, fallback_models=("small",)),
        ContextPolicy.TRUNCATE_OLDEST,
        head=2,
        question=question,
    )
    tight = await windows.fit(
        a_call(model="small", messages=messages),
        ContextPolicy.TRUNCATE_OLDEST,
        reserve_tokens=200,
        head=2,
        question=question,
    )

    assert call.messages[:2] == messages[:2]
    assert call.messages[-5:] == (question, *steps)
    assert 7 < len(call.messages) < 10
    assert tight.messages == (*messages[:2], question, *steps[-2:])


ERRORS: Final = [
    pytest.param(a_model(context_window_tokens=41 * 94), True, id="it fits"),
    pytest.param(a_model(context_window_tokens=41 * 94 - 1), False, id="it does not"),
    pytest.param(
        a_model(context_window_tokens=41 * 94, system_prompt="Hi"), False, id="with the entry's system message"
    ),
    pytest.param(a_model(context_window_tokens=41 * 100, encoding="o200k_base"), True, id="by its tokenizer it fits"),
    pytest.param(a_model(context_window_tokens=41 * 100 - 1, encoding="o200k_base"), False, id="and there it does not"),
    pytest.param(a_model(), True, id="an unknown window"),
]


@pytest.mark.parametrize(("model", "fits"), ERRORS)
async def test_errors_policy(model: ModelInfo, fits: bool) -> None:
    """With ERROR the prompt alone must fit a known window, and no message is omitted."""
    if fits:
        assert (await fit_talk(ContextPolicy.ERROR, model)).messages is TALK
        return
    with pytest.raises(ContextWindowExceeded):
        await fit_talk(ContextPolicy.ERROR, model)


@pytest.mark.parametrize("encoding", ["", "o200k_base"])
async def test_media_are_not_refused_for_their_size(encoding: str) -> None:
    """ERROR sends media, since their tokens are unknown; TRUNCATE_OLDEST counts an estimate of them."""
    image = Message(Role.USER, (Part(Media("image/png", data=b"x" * 9000)),))
    model = a_model(context_window_tokens=5000, encoding=encoding)

    sent = await fit_talk(ContextPolicy.ERROR, model, messages=(*[image] * 9, a_message()))
    left = await fit_talk(ContextPolicy.TRUNCATE_OLDEST, model, messages=(*[image] * 9, a_message()))

    assert len(sent.messages) == 10
    assert len(left.messages) == 3


async def test_errors_policy_and_fallback_models() -> None:
    """With ERROR a fallback model that cannot take the conversation is left out."""
    models = [a_model(context_window_tokens=9000), a_model(name="small", context_window_tokens=1000)]

    call = await fit_talk(ContextPolicy.ERROR, *models)

    assert call.messages is TALK
    assert call.fallback_models == ()


@pytest.mark.parametrize("policy", [None, ContextPolicy.TRUNCATE_OLDEST, ContextPolicy.ERROR])
async def test_what_surely_fits_is_not_counted(policy: ContextPolicy | None) -> None:
    """The tokenizer is not called without a policy, or where even one token for each byte would fit."""

    class UncountedModel(ScriptedModel):
        """A model whose tokenizer must not be called."""

        def count_tokens(self, call: ModelCall) -> int:
            raise AssertionError(f"{call.model} is counted")

    windows = ContextWindows(UncountedModel(models=[a_model(context_window_tokens=30_000)]), unknown_window_tokens=1)
    call = a_call(messages=TALK)

    assert await windows.fit(call, policy) == call


class PausedModel(EstimatingModel):
    """A model that counts no further until it is released."""

    def __init__(self) -> None:
        super().__init__(models=[a_model()])
        self.begun, self.let_on = asyncio.Event(), threading.Event()
        self.counting: list[str] = []
        """The calls for which it is counting."""
        self._loop = asyncio.get_running_loop()

    def count_tokens(self, call: ModelCall) -> int:
        """See `LanguageModel.count_tokens`."""
        self.counting.append(call.end_user)
        self._loop.call_soon_threadsafe(self.begun.set)
        assert self.let_on.wait(30)
        return super().count_tokens(call)


async def test_counting_does_not_block_the_event_loop() -> None:
    """Messages are counted beside the event loop, and for one call at a time."""
    model = PausedModel()
    windows = ContextWindows(model, unknown_window_tokens=2000)
    calls = [a_call(messages=TALK, end_user=name) for name in ("first", "second")]
    async with asyncio.TaskGroup() as tasks:
        fits = [tasks.create_task(windows.fit(call, ContextPolicy.TRUNCATE_OLDEST)) for call in calls]
        await model.begun.wait()
        others = set(model.counting) - {"first"}
        model.let_on.set()

    assert not others
    assert [fit.result().omitted_messages for fit in fits] == [26, 26]


async def test_counting_for_a_cancelled_call_blocks_no_model_call() -> None:
    """A thread that still counts for a cancelled call is not one of those that model calls need."""
    only_thread = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(only_thread)
    model = PausedModel()
    windows = ContextWindows(model, unknown_window_tokens=2000)
    fit = asyncio.create_task(windows.fit(a_call(messages=TALK), ContextPolicy.TRUNCATE_OLDEST))
    await model.begun.wait()
    fit.cancel()
    await asyncio.wait({fit})
    needed = only_thread.submit(threading.get_ident)
    await asyncio.wait({asyncio.wrap_future(needed)}, timeout=10)
    was_free = needed.done()
    model.let_on.set()

    assert fit.cancelled()
    assert was_free
