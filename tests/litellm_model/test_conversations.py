"""Recorded conversations with the models of today, as callers and providers get them through the running server.

tests/support/families has the recordings, and what each request and answer must hold. docs/models.md says what is kept,
lost and refused, and names these tests.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from reasoning_grpc.client import CallFailed, fold
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, CompleteResponse
from tests.support.model_families import (
    FORMAT,
    QUESTIONS,
    Json,
    ModelFamily,
    ask,
    continue_conversation,
    read_families,
    rename_made_ids,
    summarize_answer,
)
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, serving
from tests.support.upstream import CapturedRequest, FakeUpstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAMILIES: Final = read_families()
SINGLE_ANSWERS: Final = {"structured", "refusal", "failing"}
"""The recordings beside the turns of a conversation."""
RPCS: Final = ("Complete", "StreamComplete")


def select_families(choose: Callable[[ModelFamily], object]) -> pytest.MarkDecorator:
    """Returns the mark that runs a test for the families that are chosen."""
    return pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if choose(family)])


EVERY_FAMILY: Final = select_families(lambda family: family.turns)
REFUSED: Final = [
    pytest.param(name, row, id=f"{name}-{'-'.join(row['fields'])}")
    for name, family in FAMILIES.items()
    for row in family.facts.get("refused", ())
]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it took place: what the provider got, and what the caller got."""

    captured: list[CapturedRequest]
    bodies: list[Json]
    answers: list[Json]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake upstream for all tests of this file."""
    async with FakeUpstream() as fake:
        yield fake


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of each family, named after it; the fake upstream serves all of them."""
    entries = [family.build_entry(upstream) for family in FAMILIES.values()]
    async with serving(config_for(*entries, max_retries=0)) as running:
        yield running


@pytest.fixture
def server(running_server: RunningServer, upstream: FakeUpstream) -> RunningServer:
    """The server, whose upstream has forgotten the requests of other tests."""
    upstream.forget()
    return running_server


async def call(server: RunningServer, rpc: str, request: CompleteRequest) -> CompleteResponse:
    """Returns the answer of either RPC; that of a stream is folded as a caller would do it."""
    if rpc == "Complete":
        return await server.client().complete(request)
    return await fold(server.client().stream(request))


async def converse(upstream: FakeUpstream, server: RunningServer, family: ModelFamily, rpc: str) -> Conversation:
    """Plays the recorded conversation. Each request has the messages of the answers that the caller got before."""
    upstream.forget()
    request, answers, questions = family.build_request(), [], iter(QUESTIONS)
    request.messages.append(ask(next(questions)))
    for turn in family.turns:
        family.read(turn).play(upstream)
        response = await call(server, rpc, request)
        answers.append(summarize_answer(response))
        request.messages.append(response.message)
        if turn != family.turns[-1]:
            request.messages.append(continue_conversation(response.message, questions))
    captured = list(upstream.requests)
    renamed = rename_made_ids([*(each.body for each in captured), *answers])
    return Conversation(captured, renamed[: len(captured)], renamed[len(captured) :])


async def check_turn(upstream: FakeUpstream, server: RunningServer, name: str, number: int) -> None:
    """Checks the whole body that the provider gets in this turn, after answers of either RPC."""
    family = FAMILIES[name]
    for rpc in RPCS:
        conversation = await converse(upstream, server, family, rpc)
        assert conversation.bodies[number - 1] == family.read_request(str(number)), rpc
        captured = conversation.captured[number - 1]
        assert captured.path == family.facts["path"]
        headers = family.facts.get("headers", {})
        assert {header: captured.headers.get(header, "") for header in headers} == headers


async def test_each_family_has_its_recordings() -> None:
    """Each family has three turns or more and every single answer, or says why not; no file is left over."""
    for name, family in FAMILIES.items():
        answers = set(family.turns) | (SINGLE_ANSWERS - {"failing"} - family.facts.get("absent", {}).keys())
        assert len(family.turns) >= 3, name
        assert set(family.recordings) | family.facts.get("absent", {}).keys() == set(family.turns) | SINGLE_ANSWERS
        files = {file.name for file in family.folder.glob("*.json")}
        assert files == {f"{answer}.{kind}.json" for answer in answers for kind in ("request", "answer")}, name
        assert all(source.startswith("https://") for source in family.facts["sources"]), name
        assert family.facts["sources"], name


@EVERY_FAMILY
async def test_answers(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """The caller gets every answer of a conversation whole: its parts in order, its end, its usage, its settings."""
    family = FAMILIES[name]
    expected = [family.read_answer(turn) for turn in family.turns]

    for rpc in RPCS:
        conversation = await converse(upstream, server, family, rpc)

        assert conversation.answers == expected, rpc


@EVERY_FAMILY
async def test_first_turn(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """The provider gets the question, the tools and the wish for reasoning in its own form."""
    await check_turn(upstream, server, name, 1)


@EVERY_FAMILY
async def test_second_turn(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """The provider gets its answer with the results of the tools, as its documentation asks for."""
    await check_turn(upstream, server, name, 2)


@EVERY_FAMILY
async def test_third_turn(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """The provider gets both of its answers with what the caller said in between, as its documentation asks for."""
    await check_turn(upstream, server, name, 3)


@select_families(lambda family: len(family.turns) > 3)
async def test_later_turns(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """The provider gets all of its earlier answers, as its documentation asks for."""
    for number in range(4, len(FAMILIES[name].turns) + 1):
        await check_turn(upstream, server, name, number)


@select_families(lambda family: "summary" in family.facts)
async def test_summary(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """A request that includes the reasoning asks for it in words, also without an effort; another one does not."""
    family = FAMILIES[name]
    expected = family.facts["summary"]
    for include, has_summary in ({"reasoning": True}, True), ({}, False):
        request = family.build_request(reasoning={}, include=include)
        request.messages.append(ask(QUESTIONS[0]))
        family.read("1").play(upstream)

        await server.client().complete(request)

        body = upstream.requests[-1].body
        assert ({member: body.get(member) for member in expected} == expected) is has_summary


@select_families(lambda family: "structured" in family.recordings)
async def test_structured_answer(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """An answer in JSON by a schema: the provider gets the schema, and the caller gets the JSON."""
    await check_single_answer(upstream, server, name, "structured", responseFormat=FORMAT, tools=[])


@select_families(lambda family: "refusal" in family.recordings)
async def test_refusal(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """An answer in which the model declines is an answer, and its end says so in the provider's own word."""
    await check_single_answer(upstream, server, name, "refusal")


async def check_single_answer(
    upstream: FakeUpstream, server: RunningServer, name: str, recording: str, **fields: Any
) -> None:
    """Checks a single answer, and what the provider gets for it."""
    family = FAMILIES[name]
    request = family.build_request(**fields)
    request.messages.append(ask(QUESTIONS[0]))
    for rpc in RPCS:
        family.read(recording).play(upstream)
        response = await call(server, rpc, request)

        assert summarize_answer(response) == family.read_answer(recording), rpc
        assert upstream.requests[-1].body == family.read_request(recording), rpc


@select_families(lambda family: "failing" in family.recordings)
async def test_error_within_an_answer(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """An error in the middle of an answer ends both RPCs with its reason, and with the progress so far."""
    family = FAMILIES[name]
    expected = dict(family.facts["failing"])
    for rpc in RPCS:
        family.read("failing").play(upstream)
        with pytest.raises(CallFailed) as failed:
            await call(server, rpc, family.build_request(messages=[{"role": "ROLE_USER", "content": [{"text": "q"}]}]))

        error = failed.value
        assert error.interruption is not None
        assert {
            "reason": error.reason,
            "http_status": int(error.metadata.get("http_status", 0)),
            "content_characters": error.interruption.content_characters,
        } == expected, rpc


@EVERY_FAMILY
async def test_cut_answer(upstream: FakeUpstream, server: RunningServer, name: str) -> None:
    """An answer that the provider cuts after any of its events is never taken for a complete one."""
    family = FAMILIES[name]
    recording, complete_after = family.read("1"), family.facts["complete_after"]
    for count in range(1, len(recording.events) + 1):
        recording.play(upstream, count)
        answer = await receive_answer(server.client(), model=name)

        if count >= complete_after:
            assert answer.error == "", count
        else:
            is_begun = bool(answer.order) or family.facts["path"] == "/v1/responses"  # whose first event begins it
            assert answer.error == ("UPSTREAM_STREAM_TRUNCATED" if is_begun else "UPSTREAM_EMPTY_RESPONSE"), count


@pytest.mark.parametrize(("name", "row"), REFUSED)
async def test_refused_field(upstream: FakeUpstream, server: RunningServer, name: str, row: dict[str, Any]) -> None:
    """A request that the provider would refuse is refused before it is sent, by the names of its fields."""
    request = FAMILIES[name].build_request(**row["request"])
    if not request.messages:
        request.messages.append(ask(QUESTIONS[0]))

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(request)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [violation.field for violation in failed.value.violations] == row["fields"]
    assert upstream.requests == []
