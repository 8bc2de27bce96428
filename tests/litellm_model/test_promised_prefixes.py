"""Recorded answers of each promised prefix, as callers get them through the running server.

tests/support/promised has the recordings, and what each says. The fake upstream sends them to a model of the prefix.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from reasoning_grpc.client import CallFailed
from reasoning_grpc.litellm_model import PROMISED
from reasoning_grpc.litellm_model.library import import_litellm
from reasoning_grpc.v1 import completion_pb2
from tests.support.factories import a_wire_request
from tests.support.promised_answers import (
    COMPLETE_KINDS,
    FOLDER,
    KINDS,
    SHARED,
    TAGGED,
    read_answers,
    summarize_response,
    summarize_streamed,
)
from tests.support.received import receive_answer
from tests.support.serving import RunningServer, config_for, serving
from tests.support.upstream import FakeUpstream

# Starting the server takes longer than any of the tests, which are many.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.thorough]

ANSWERS: Final = {prefix: read_answers(prefix) for prefix in sorted(PROMISED)}
COMPLETE: Final = [
    (prefix, kind) for prefix, answers in ANSWERS.items() for kind in answers.kinds if kind in COMPLETE_KINDS
]
FAILING: Final = [prefix for prefix, answers in ANSWERS.items() if "failing" in answers.kinds]
REFUSED: Final = [
    pytest.param(prefix, row, id=f"{prefix}-{row['status']}-{number}")
    for prefix, answers in ANSWERS.items()
    for number, row in enumerate(answers.expected["refused"])
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake upstream for all tests of this file."""
    async with FakeUpstream() as fake:
        yield fake


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of each promised prefix, named after it; the fake upstream serves all of them."""
    entries = [entry for answers in ANSWERS.values() for entry in answers.build_entries(upstream)]
    async with serving(config_for(*entries, max_retries=0)) as running:
        yield running


@pytest.fixture
def server(running_server: RunningServer, upstream: FakeUpstream) -> RunningServer:
    """The server, whose upstream has forgotten the requests of other tests."""
    upstream.forget()
    return running_server


async def test_each_promised_prefix_has_its_recordings() -> None:
    """Each promised prefix has a recording of each kind, or says why it has none; no folder is left over."""
    for answers in ANSWERS.values():
        absent = answers.expected.get("absent", {}).keys()
        assert {kind for kind in answers.kinds if kind != TAGGED} == set(KINDS) - absent
        assert answers.expected.keys() >= set(answers.kinds) | {"refused"}
        assert len({row["error"] for row in answers.expected["refused"]}) >= 3

    folders = {folder.name for folder in FOLDER.iterdir()}
    assert folders | SHARED.keys() == PROMISED.keys()
    assert set(SHARED.values()) <= folders


@pytest.mark.parametrize("prefix", [prefix for prefix in ANSWERS if "default_address" in ANSWERS[prefix].expected])
async def test_the_address_of_a_note_is_that_of_litellm(prefix: str) -> None:
    """A note that warns of a prefix's own address is about the address that litellm has."""
    assert import_litellm().get_llm_provider(f"{prefix}/fake")[3] == ANSWERS[prefix].expected["default_address"]


@pytest.mark.parametrize(("prefix", "kind"), COMPLETE)
async def test_a_recorded_answer_is_received_whole(
    upstream: FakeUpstream, server: RunningServer, prefix: str, kind: str
) -> None:
    """Both RPCs return all of a recorded answer: its parts, its end in the provider's word, and its usage."""
    answers = ANSWERS[prefix]
    expected = {name: value for name, value in answers.expected[kind].items() if name != "complete_after"}
    recording = answers.read(kind)
    recording.play(upstream)
    recording.play(upstream)

    model = answers.name_model(kind)
    streamed = await receive_answer(server.client(), model=model)
    response = await server.client().complete(
        a_wire_request(model=model, include=completion_pb2.IncludeOptions(reasoning=True))
    )

    assert summarize_streamed(streamed) == expected
    assert summarize_response(response) == expected
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("prefix", FAILING)
async def test_an_error_in_a_recorded_answer_is_reported(
    upstream: FakeUpstream, server: RunningServer, prefix: str
) -> None:
    """An error in the middle of an answer ends both RPCs with the reason, and with the progress so far."""
    answers = ANSWERS[prefix]
    expected, recording = answers.expected["failing"], answers.read("failing")
    recording.play(upstream)
    recording.play(upstream)

    answer = await receive_answer(server.client(), model=prefix)
    with pytest.raises(CallFailed) as failed:
        await server.client().complete(a_wire_request(model=prefix))

    assert summarize_streamed(answer) == expected
    assert failed.value.reason == expected["error"]
    assert answer.interruption is not None
    assert answer.interruption.content_characters == len(answer.text)


@pytest.mark.parametrize(("prefix", "row"), REFUSED)
async def test_the_body_of_a_refusal_is_understood(
    upstream: FakeUpstream, server: RunningServer, prefix: str, row: dict[str, Any]
) -> None:
    """The body of a failed status gives the error its reason, its delay, and the fields that are at fault."""
    upstream.body(row["body"].encode(), status=row["status"], headers=row.get("headers"))

    with pytest.raises(CallFailed) as failed:
        await server.client().complete(a_wire_request(model=prefix))

    error = failed.value
    assert (error.reason, error.metadata["http_status"]) == (row["error"], str(row["status"]))
    assert error.retry_after_seconds == row.get("retry_after_seconds")
    assert [violation.field for violation in error.violations] == row.get("fields", [])
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("prefix", ANSWERS)
async def test_a_recorded_answer_that_is_cut_is_not_complete(
    upstream: FakeUpstream, server: RunningServer, prefix: str
) -> None:
    """An answer that ends after any of its events is complete only if its finish reason has arrived."""
    answers = ANSWERS[prefix]
    expected, recording = answers.expected["text"], answers.read("text")

    for count in range(1, len(recording.events)):
        recording.play(upstream, count)
        answer = await receive_answer(server.client(), model=prefix)

        if count < expected["complete_after"]:
            reason = "UPSTREAM_STREAM_TRUNCATED" if answer.text else "UPSTREAM_EMPTY_RESPONSE"
            assert (answer.error, answer.finish) == (reason, ""), count
            assert expected["text"].startswith(answer.text)
        else:
            assert (answer.error, answer.text) == ("", expected["text"]), count
