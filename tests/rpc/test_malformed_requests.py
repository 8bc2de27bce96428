"""Bytes that are no valid request are refused, and unknown fields are ignored."""

import grpc
import pytest

from tests.support.bad_requests import raw_method, violations
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

GARBAGE = [
    pytest.param(b"\xff" * 8, id="garbage"),
    pytest.param(b"\x0a\x01\xff\x12\x01\xff", id="invalid UTF-8"),  # the first text is field 1 or 2
    pytest.param(b"\x0a\x05ab", id="cut short"),
    pytest.param(b"\xfb\x3f" * 1000 + b"\xfc\x3f" * 1000, id="groups nested a thousand deep"),
]


@pytest.mark.parametrize("payload", GARBAGE)
@pytest.mark.parametrize("method", ["Complete", "StreamComplete", "Classify", "ListModels"])
async def test_bytes_that_are_no_protobuf_are_malformed(
    upstream: FakeUpstream, running_server: RunningServer, method: str, payload: bytes
) -> None:
    """Every method answers MALFORMED_REQUEST to bytes that cannot be parsed."""
    if method == "StreamComplete":
        call = raw_method(running_server.channel.unary_stream, method)(payload).read()
    else:
        call = raw_method(running_server.channel.unary_unary, method)(payload)

    failed = await expect_failure(call)

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "MALFORMED_REQUEST"
    assert failed.message == "The request is not a valid protobuf message."
    assert failed.metadata == {}
    assert failed.violations == ()
    assert upstream.connections == 0


async def test_unknown_fields_are_ignored(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """An unknown field, as a later version may send it, changes nothing."""
    complete = raw_method(running_server.channel.unary_unary)
    known = a_wire_request().SerializeToString()

    await complete(known)
    await complete(known + b"\xfa\x3f\x02hi")  # field 1023

    assert upstream.requests[0].body == upstream.requests[1].body


async def test_a_number_above_32_bits_is_out_of_range(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """Protobuf cuts 2^31 as a number of tokens to a negative number, which the server refuses."""
    complete = raw_method(running_server.channel.unary_unary)

    failed = await expect_failure(complete(a_wire_request().SerializeToString() + b"\x1a\x06\x20\x80\x80\x80\x80\x08"))

    assert failed.violations == violations(("sampling.max_output_tokens", "It must be at least 1."))
    assert upstream.connections == 0
