"""The fields of a request are counted before it is parsed."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.domain.errors import RequestTooLarge
from reasoning_grpc.rpc.field_count import has_more_fields, limit_fields
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from tests.support.factories import a_wire_request

KIND = completion_pb2.CompleteRequest.DESCRIPTOR


def test_fields_of_inner_messages_count() -> None:
    """Each field counts, those of messages, parts and map entries as well, and the payload of a text does not."""
    request = a_wire_request("\x0a\x00" * 100, model="m", labels={"a": "1", "b": "2"})
    payload = request.SerializeToString()  # a message, its role, part and text; the model; two labels, two fields each

    assert has_more_fields(payload, KIND, 10)
    assert not has_more_fields(payload, KIND, 11)


def test_fields_of_the_request_in_a_stream_request_count() -> None:
    """The request inside another message counts like one of its own, with one field more."""
    payload = events_pb2.StreamCompleteRequest(request=a_wire_request(model="m")).SerializeToString()

    assert has_more_fields(payload, events_pb2.StreamCompleteRequest.DESCRIPTOR, 5)
    assert not has_more_fields(payload, events_pb2.StreamCompleteRequest.DESCRIPTOR, 6)


def test_only_long_requests_are_counted() -> None:
    """A request of few bytes is parsed at once; a longer one of too many fields never is."""
    parse = limit_fields(completion_pb2.CompleteRequest.FromString, KIND, 1000)
    short = completion_pb2.CompleteRequest(messages=[messages_pb2.Message()] * 1001).SerializeToString()

    assert len(parse(short).messages) == 1001
    with pytest.raises(RequestTooLarge):
        parse(short * 40)


def test_long_texts_are_parsed() -> None:
    """A long request with few fields is parsed."""
    payload = a_wire_request("x" * 1_000_000).SerializeToString()

    assert limit_fields(completion_pb2.CompleteRequest.FromString, KIND, 10)(payload) == a_wire_request("x" * 1_000_000)


def test_bytes_that_are_no_message_are_left_to_the_parser() -> None:
    """Garbage is malformed, not too large."""
    with pytest.raises(DecodeError):
        limit_fields(completion_pb2.CompleteRequest.FromString, KIND, 1_000_000)(b"\xff" * 100_000)


@given(st.binary(max_size=200), st.integers(0, 20))
def test_any_bytes_are_counted(payload: bytes, most: int) -> None:
    """Counting ends for any bytes, and never counts more fields than there are bytes."""
    if has_more_fields(payload, KIND, most):
        assert len(payload) > most
