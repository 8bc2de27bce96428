"""Which messages of a conversation are omitted when it does not fit the model's context window."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import (
    ContextPolicy,
    Media,
    Message,
    ModelInfo,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.context_window import ContextWindows
from reasoning_grpc.llm.omission import omit_oldest_messages
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens
from tests.support.factories import a_call, a_message
from tests.support.models import ScriptedModel, a_model

ROLES: Final = {"s": Role.SYSTEM, "u": Role.USER, "a": Role.ASSISTANT}


def make_message(word: str) -> Message:
    """Returns a message by its word: s, u or a is its role.

    C12 calls tools by the ids 1 and 2, r12 has their results.
    """
    kind, ids = word[0], word[1:]
    if kind == "c":
        return Message(Role.ASSISTANT, tuple(Part(ToolCall(each, "f", "{}")) for each in ids))
    if kind == "r":
        return Message(Role.TOOL, tuple(Part(ToolResult(each, "4")) for each in ids))
    return a_message(word, ROLES[kind])


def conversation(words: str) -> tuple[Message, ...]:
    """Returns the messages of a line such as "s u c1 r1 a"."""
    return tuple(map(make_message, words.split()))


def count_messages(call: ModelCall) -> int:
    """Counts one token a message."""
    return len(call.messages)


def show_kept(words: str, room: int, head: int = 0) -> str:
    """Returns what is left of such a line when so many messages fit, with "-" for each omitted one.

    A "q" is a message of the user: the question that must stay.
    """
    before = conversation(words.replace("q", "u"))
    question = next((message for word, message in zip(words.split(), before, strict=True) if word == "q"), None)
    after = omit_oldest_messages(a_call(messages=before), room, count_messages, head=head, question=question)
    left = {id(message) for message in after.messages}
    rest = [word if id(message) in left else "-" for word, message in zip(words.split(), before, strict=True)]
    assert after.omitted_messages == rest.count("-") == len(before) - len(after.messages)
    return " ".join(rest)


TABLE: Final = [
    pytest.param("u a u", 3, "u a u", id="all fits"),
    pytest.param("u a u", 2, "- - u", id="nothing begins with an answer"),
    pytest.param("s u a u", 3, "s - - u", id="the system message stays"),
    pytest.param("s u a s u", 3, "s - - s u", id="so does one in between"),
    pytest.param("a u a u", 3, "- u a u", id="a greeting goes first"),
    pytest.param("a u a u", 4, "a u a u", id="a greeting that fits"),
    pytest.param("u u u", 2, "- u u", id="a message alone"),
    pytest.param("u a u a u a", 4, "- - u a u a", id="as few as it takes"),
    pytest.param("u c1 r1 a u", 4, "- - - - u", id="a result goes with its call"),
    pytest.param("u c12 r1 r2 a u a u", 5, "- - - - - u a u", id="all results of a call"),
    pytest.param("u c12 r12 a u c1 r1", 5, "- - - - u c1 r1", id="an id used again"),
    pytest.param("u c1 u r1 u", 4, "- - - - u", id="no result without its call"),
    pytest.param("u a u c1 r1 c2 r2", 6, "- - u c1 r1 c2 r2", id="what follows the last question stays"),
    pytest.param("u r9 a u", 3, "- - - u", id="a result of no call"),
]


@pytest.mark.parametrize(("words", "room", "left"), TABLE)
def test_what_is_left_out(words: str, room: int, left: str) -> None:
    """The oldest messages, up to a message of the user before which no call of a later result stands."""
    assert show_kept(words, room) == left


IMPOSSIBLE: Final = [
    pytest.param("u", 0, id="one message"),
    pytest.param("s u", 1, id="a system message"),
    pytest.param("s", 0, id="nothing but a system message"),
    pytest.param("u a", 1, id="the last question with its answer"),
    pytest.param("u c1 r1 c2 r2", 4, id="the last question with its calls"),
    pytest.param("u c1 u r1", 3, id="a call before the last question"),
    pytest.param("a a", 1, id="no question"),
]


@pytest.mark.parametrize(("words", "room"), IMPOSSIBLE)
def test_what_cannot_be_left_out(words: str, room: int) -> None:
    """System messages, the last message of the user and all that follows: that is refused, and no upstream reached."""
    with pytest.raises(ContextWindowExceeded) as refused:
        show_kept(words, room)

    assert (refused.value.http_status, refused.value.reached) == (0, False)
    assert refused.value.metadata == {"model": "fake"}


AGENTS: Final = [
    pytest.param("s u a q c1 r1 c2 r2", 0, 6, "s - - q c1 r1 c2 r2", id="what is before the question goes first"),
    pytest.param("s u a q c1 r1 c2 r2", 0, 4, "s - - q - - c2 r2", id="then the oldest after it"),
    pytest.param("u q c1 r1 c23 r2 r3 a c4 r4", 0, 4, "- q - - - - - a c4 r4", id="all results of a call"),
    pytest.param("q c1 c2 r1 r2 c3 r3", 0, 5, "q - - - - c3 r3", id="no result without its call"),
    pytest.param("c1 q r1 c2 r2", 0, 3, "- q - c2 r2", id="a call from before"),
    pytest.param("q a u a u", 0, 3, "q - - a u", id="results in words"),
    pytest.param("q c1 r1 a u", 0, 3, "q - - a u", id="and the last words of the user"),
    pytest.param("s u a u a q a u", 3, 6, "s u a - - q a u", id="examples stay"),
    pytest.param("s u c1 r1 a u a q a u a u", 5, 8, "s u c1 r1 a - - q - - a u", id="examples with tools"),
    pytest.param("u a u a u", 2, 3, "u a - - u", id="examples without a question"),
]


@pytest.mark.parametrize(("words", "head", "room", "left"), AGENTS)
def test_what_is_left_out_of_an_agents_turn(words: str, head: int, room: int, left: str) -> None:
    """What stands before the question, then the oldest of what follows it; never the head, nor the question."""
    assert show_kept(words, room, head) == left


@pytest.mark.parametrize(("words", "room"), [("q c1 r1 c2 r2", 2), ("u a q", 0), ("q u", 1)])
def test_the_last_exchange_is_never_left_out(words: str, room: int) -> None:
    """The question stays, and so do the last message of the assistant and all after it."""
    with pytest.raises(ContextWindowExceeded):
        show_kept(words, room)


WORD: Final = st.one_of(
    st.sampled_from(["s", "u", "u", "a"]),
    st.builds(str.__add__, st.sampled_from("cr"), st.sampled_from(["1", "2", "3", "12", "23"])),
)


def _find_answered_calls(words: Sequence[str], index: int) -> set[int]:
    """Returns the calls that the results in a message answer: for each, the latest one before it with its id."""
    if words[index][0] != "r":
        return set()
    calls = [[at for at in range(index) if words[at][0] == "c" and each in words[at]] for each in words[index][1:]]
    return {found[-1] for found in calls if found}


def _list_possible_rests(words: Sequence[str], head: int, question: int | None) -> list[list[int]]:
    """Yields the possible rests of a conversation, longest first, with the question and the call of every result."""
    begins = [index for index, word in enumerate(words) if word == "u" and (question is None or index <= question)]
    ways = [{*range(begin, len(words))} for begin in (0, *begins)]
    if question is not None:
        after = [index for index, word in enumerate(words) if word[0] in "ac" and index > question]
        ways += [{question, *range(begin, len(words))} for begin in after]
    always = {index for index, word in enumerate(words) if word == "s" or index < head}
    left = [sorted(way | always) for way in ways]
    return [
        stay for stay in left if all(_find_answered_calls(words, index) <= set(stay) for index in stay if index >= head)
    ]


ROWS: Final = st.lists(st.tuples(WORD, st.integers(1, 9)), min_size=1, max_size=14)


@given(ROWS, st.data(), st.integers(0, 60), st.integers(0, 9))
def test_as_many_messages_as_fit(rows: list[tuple[str, int]], data: st.DataObject, room: int, frame: int) -> None:
    """The longest possible rest that fits is left, in order, and the omitted messages are counted."""
    words, weights = [word for word, _ in rows], [weight for _, weight in rows]
    head = data.draw(st.integers(0, 3))
    question_index = data.draw(
        st.sampled_from([None, *(at for at, word in enumerate(words) if word == "u" and at >= head)])
    )
    call = a_call(messages=conversation(" ".join(words)), tools=(Tool("f"),))
    question = None if question_index is None else call.messages[question_index]
    weight = {id(message): each for message, each in zip(call.messages, weights, strict=True)}

    def count(part: ModelCall) -> int:
        return frame * len(part.tools) + sum(weight[id(message)] for message in part.messages)

    fitting = [
        stay
        for stay in _list_possible_rests(words, head, question_index)
        if frame + sum(weights[index] for index in stay) <= room
    ]

    try:
        after = omit_oldest_messages(call, room, count, head=head, question=question)
    except ContextWindowExceeded:
        assert not fitting
        return

    assert [id(message) for message in after.messages] == [id(call.messages[index]) for index in fitting[0]]
    omitted = tuple(message for index, message in enumerate(call.messages) if index not in fitting[0])
    assert after.omitted_messages == len(omitted)
    assert after.omitted_tokens == sum_prompt_tokens(a_call(messages=omitted), estimate_text_tokens)


def test_messages_are_counted_once_and_no_further_than_needed() -> None:
    """Of a thousand messages, only those that fit and one more are counted."""
    counted: list[int] = []

    def count(part: ModelCall) -> int:
        counted.append(len(part.messages))
        return 100 * len(part.messages)

    after = omit_oldest_messages(a_call(messages=conversation("u a " * 500 + "u")), 2050, count)

    assert len(after.messages) == 19
    assert after.omitted_messages == 982
    assert sorted(counted) == [0, *[1] * 21]


def test_what_was_left_out_before_is_not_forgotten() -> None:
    """A call from which messages were omitted twice reports all of them."""
    once = omit_oldest_messages(a_call(messages=conversation("u a u a u")), 3, count_messages)

    twice = omit_oldest_messages(once, 1, count_messages)

    assert (once.omitted_messages, twice.omitted_messages) == (2, 4)
    assert twice.omitted_tokens == 2 * once.omitted_tokens


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
    assert [fit_talk.result().omitted_messages for fit_talk in fits] == [26, 26]


async def test_counting_for_a_cancelled_call_blocks_no_model_call() -> None:
    """A thread that still counts for a cancelled call is not one of those that model calls need."""
    only_thread = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(only_thread)
    model = PausedModel()
    windows = ContextWindows(model, unknown_window_tokens=2000)
    fit_talk = asyncio.create_task(windows.fit(a_call(messages=TALK), ContextPolicy.TRUNCATE_OLDEST))
    await model.begun.wait()
    fit_talk.cancel()
    await asyncio.wait({fit_talk})
    needed = only_thread.submit(threading.get_ident)
    await asyncio.wait({asyncio.wrap_future(needed)}, timeout=10)
    was_free = needed.done()
    model.let_on.set()

    assert fit_talk.cancelled()
    assert was_free


PARTS: Final[list[Any]] = [
    pytest.param(Text("four" * 10), 10, id="text"),
    pytest.param(ToolCall("1", "four", "four"), 12 + 3, id="tool call"),
    pytest.param(ToolResult("1", "four" * 10), 12 + 10, id="tool result"),
    pytest.param(Reasoning("four" * 10), 10, id="reasoning"),
    pytest.param(Reasoning(redacted=b"four" * 10), 10, id="withheld reasoning"),
    pytest.param(Refusal("four" * 10), 10, id="refusal"),
    pytest.param(Media("image/png", data=b"x" * 100_000), 1600, id="image"),
    pytest.param(Media("image/png", uri="https://example.com/" + "x" * 1000), 1600, id="image by its address"),
    pytest.param(Media("audio/wav", data=b"x" * 1280), 10, id="sound"),
    pytest.param(Media("text/plain", data=b"x" * 40), 10, id="text document"),
    pytest.param(Media("application/pdf", data=b"x" * 320), 10, id="document"),
]


@pytest.mark.parametrize(("content", "tokens"), PARTS)
def test_the_tokens_of_a_part(content: Any, tokens: int) -> None:
    """A part has one token for each four bytes, more around it, and six around its message.

    Media are counted by size.
    """
    call = a_call(messages=(Message(Role.ASSISTANT, (Part(content),)),))

    assert estimate_tokens(call) == 6 + tokens


def test_the_tokens_of_the_rest_of_a_prompt() -> None:
    """Tools, the schema of the answer and a message's name are counted, and the whole is the sum of its parts."""
    call = a_call(
        messages=(replace(a_message("four"), name="four"),),
        tools=(Tool("four", "four", "four" * 6),),
        response_format=ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "four", "four" * 5, "four"),
    )

    assert estimate_tokens(replace(call, messages=())) == 12 + 8 + 7 + 2  # the last for what separates them
    assert estimate_tokens(replace(call, tools=(), response_format=None)) == 6 + 3
    assert estimate_tokens(call) == 29 + 9
