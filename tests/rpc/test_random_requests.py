"""A request with any fields ends in an answer, or in an error that says what is wrong with it."""

from typing import Final

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from reasoning_grpc.rpc import Caps
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, models_pb2
from tests.fuzz.in_process import InProcessService
from tests.fuzz.instant_model import build_instant_engine
from tests.fuzz.loop import run
from tests.support.random_messages import random_messages

KINDS: Final = [
    ("Complete", completion_pb2.CompleteRequest),
    ("StreamComplete", events_pb2.StreamCompleteRequest),
    ("Classify", classification_pb2.ClassifyRequest),
    ("ListModels", models_pb2.ListModelsRequest),
]
HELLO: Final = messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text="hi")])


@pytest.fixture(scope="module")
def service() -> InProcessService:
    """The service with a model that answers at once."""
    return InProcessService(build_instant_engine(), caps=Caps(), max_request_bytes=1 << 20)


@pytest.mark.parametrize(("method", "kind"), KINDS, ids=[name for name, _ in KINDS])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_request_is_answered_or_refused(
    service: InProcessService, method: str, kind: type[Message], data: st.DataObject
) -> None:
    """Whatever a request holds, its call ends well, or with a reason; never as a fault of the server."""
    request = data.draw(random_messages(kind))

    end = run(service.call(method, request.SerializeToString()))

    assert end.code is not grpc.StatusCode.UNKNOWN
    assert end.reason != "INTERNAL"
    assert bool(end.responses) != bool(end.reason)
    assert service.calls_in_flight == 0


@settings(max_examples=100, deadline=None)
@given(request=random_messages(completion_pb2.CompleteRequest))
def test_any_option_beside_a_message_is_answered_or_refused(
    service: InProcessService, request: completion_pb2.CompleteRequest
) -> None:
    """Options that are valid lead to an answer of one of the paths, and others to an error."""
    del request.messages[:]
    request.messages.append(HELLO)
    request.model = ""

    end = run(service.call("Complete", request.SerializeToString()))

    assert end.code is not grpc.StatusCode.UNKNOWN
    assert end.reason != "INTERNAL"
    assert bool(end.responses) != bool(end.reason)
