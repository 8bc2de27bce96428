"""Which messages of a conversation are omitted when they exceed the room for a prompt."""

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain import (
    Tool,
)
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.omission import omit_oldest_messages
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens
from tests.support.conversations import conversation
from tests.support.factories import a_call


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
def test_the_oldest_messages_are_omitted(words: str, room: int, left: str) -> None:
    """The oldest messages are omitted, up to a message of the user after which every result has its call."""
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
def test_a_call_that_cannot_fit_is_refused(words: str, room: int) -> None:
    """A call is refused when system messages, the last message of the user and all after it do not fit."""
    with pytest.raises(ContextWindowExceeded) as refused:
        show_kept(words, room)

    assert (refused.value.http_status, refused.value.is_upstream_reached) == (0, False)
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
def test_what_is_omitted_from_an_agents_turn(words: str, head: int, room: int, left: str) -> None:
    """Messages before the question go first, then the oldest ones after it, but never the head or the question."""
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
    """Only the messages that fit and one more are counted, even if there are a thousand."""
    counted: list[int] = []

    def count(part: ModelCall) -> int:
        counted.append(len(part.messages))
        return 100 * len(part.messages)

    after = omit_oldest_messages(a_call(messages=conversation("u a " * 500 + "u")), 2050, count)

    assert len(after.messages) == 19
    assert after.omitted_messages == 982
    assert sorted(counted) == [0, *[1] * 21]


def test_omissions_add_up() -> None:
    """A call from which messages were omitted twice reports all of them."""
    once = omit_oldest_messages(a_call(messages=conversation("u a u a u")), 3, count_messages)

    twice = omit_oldest_messages(once, 1, count_messages)

    assert (once.omitted_messages, twice.omitted_messages) == (2, 4)
    assert twice.omitted_tokens == 2 * once.omitted_tokens
