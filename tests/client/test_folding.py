"""The Python client folds the events of a stream into an answer."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.client import Folder, IncompleteStream, ReasoningClient, fold, text_request
from reasoning_grpc.v1 import events_pb2, messages_pb2
from tests.support.serving import RunningServer


def event(**fields: Any) -> events_pb2.StreamCompleteResponse:
    """Creates an event of a stream."""
    return events_pb2.StreamCompleteResponse(**fields)


START = event(started=events_pb2.Started(response_id="r", model="m"))
END = event(completed=events_pb2.Completed(model="m"))


TEXT = st.text(max_size=3)
DELTAS = st.one_of(
    st.builds(events_pb2.ContentDelta, text=TEXT, refusal=st.booleans(), signature=st.sampled_from(["", "", "s"])),
    st.builds(events_pb2.ReasoningDelta, text=TEXT, signature=st.sampled_from(["", "", "s"])),
    st.builds(events_pb2.ToolCallDelta, call_id=st.sampled_from(["a", "b"]), name=TEXT, arguments=TEXT, signature=TEXT),
)
FIELDS = {
    events_pb2.ContentDelta: "content_delta",
    events_pb2.ReasoningDelta: "reasoning_delta",
    events_pb2.ToolCallDelta: "tool_call_delta",
}


@settings(max_examples=200, deadline=None)
@given(st.lists(DELTAS, max_size=12))
async def test_a_fold_loses_nothing(deltas: list[Any]) -> None:
    """Whatever the order of the deltas, the parts of each kind have all texts of this kind in their order."""
    folded = await fold([START, *(event(**{FIELDS[type(delta)]: delta}) for delta in deltas), END])

    def join(kind: str, refusal: bool = False) -> str:
        found = [delta for delta in deltas if FIELDS[type(delta)] == kind]
        return "".join(each.text for each in found if getattr(each, "refusal", False) == refusal)

    parts = folded.message.content
    assert "".join(part.text for part in parts) == join("content_delta")
    assert "".join(part.refusal for part in parts) == join("content_delta", refusal=True)
    assert "".join(part.reasoning.text for part in parts) == join("reasoning_delta")
    for call_id in ("a", "b"):
        arguments = [each.arguments for each in deltas if getattr(each, "call_id", "") == call_id]
        assert [part.tool_call.arguments for part in parts if part.tool_call.id == call_id] == (
            ["".join(arguments)] if arguments else []
        )


async def test_fold_accepts_the_stream_of_a_client(running_server: RunningServer) -> None:
    """`fold` reads the generator that `client.stream` returns."""
    async with ReasoningClient(running_server.address) as client:
        answer = await fold(client.stream(text_request("hi")))

    assert answer.message == messages_pb2.Message(
        role=messages_pb2.ROLE_ASSISTANT, content=[messages_pb2.Part(text="Hello world")]
    )


@pytest.mark.parametrize("events", [[], [START], [END], [event(heartbeat=events_pb2.Heartbeat())]])
async def test_an_incomplete_stream_cannot_be_folded(events: list[events_pb2.StreamCompleteResponse]) -> None:
    """Events without `started` or without `completed` are not an answer."""
    with pytest.raises(IncompleteStream):
        await fold(events)


def test_a_folder_returns_the_answer_so_far() -> None:
    """The message can be read before the end of the stream, and later deltas do not change it."""
    folder = Folder()
    folder.add(START)
    folder.add(event(content_delta=events_pb2.ContentDelta(text="Hel")))
    before = folder.message()
    folder.add(event(content_delta=events_pb2.ContentDelta(text="lo")))

    assert [before.content[0].text, folder.message().content[0].text] == ["Hel", "Hello"]
