"""Every error has details of a limited size, and the request id under which the call is logged."""

from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import OrchestrationUse
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2
from tests.support.bad_requests import a_tool, raw_method, with_tools
from tests.support.factories import a_wire_request
from tests.support.serving import serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

STATUS: Final = "grpc-status-details-bin"
SMILEY: Final = "\U0001f600"


HUGE = [
    pytest.param({"labels": {f"{number}{SMILEY * 1000}": "x" for number in range(32)}}, id="keys of labels"),
    pytest.param(
        {"provider_options": {f"{number}{SMILEY * 1000}": "{" for number in range(32)}}, id="names of provider options"
    ),
    pytest.param({"messages": [messages_pb2.Message()] * 1000}, id="a thousand messages"),
    pytest.param(with_tools(*(a_tool(SMILEY * 1000, "[]") for _ in range(128))), id="tools"),
]


@pytest.mark.parametrize("fields", HUGE)
async def test_details_stay_under_4_kb(upstream: FakeUpstream, stub: Any, fields: dict[str, Any]) -> None:
    """However many violations a request has, its details stay below 4 KB, so that grpc does not refuse the status."""
    request = a_wire_request(request_id="r" * 128, **fields)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Complete(request)

    details = dict(failed.value.trailing_metadata() or ())[STATUS]
    assert len(details) < 4096
    assert CallFailed(failed.value).reason == "INVALID_FIELD"
    assert CallFailed(failed.value).request_id == "r" * 128
    assert 10 <= len(CallFailed(failed.value).violations) <= 20
    assert upstream.connections == 0


EVERY_ERROR = [
    pytest.param(b"\xff", "MALFORMED_REQUEST", [], id="malformed"),
    pytest.param(a_wire_request("x" * 70_000), "REQUEST_TOO_LARGE", ["BadRequest"], id="too large"),
    pytest.param(completion_pb2.CompleteRequest(), "INVALID_FIELD", ["BadRequest"], id="invalid"),
    pytest.param(
        a_wire_request(provider_options={"x": "1"}), "UNSUPPORTED_PARAMETER", ["BadRequest"], id="unsupported"
    ),
    pytest.param(a_wire_request(model="x"), "MODEL_NOT_FOUND", [], id="not found"),
    pytest.param(
        a_wire_request(routing=routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_ORCHESTRATION)),
        "ROUTE_NOT_IMPLEMENTED",
        ["RouteDecision"],
        id="not implemented",
    ),
]


@pytest.mark.parametrize(("invalid", "reason", "other_details"), EVERY_ERROR)
async def test_every_error_has_its_details(
    upstream: FakeUpstream, invalid: Message | bytes, reason: str, other_details: list[str]
) -> None:
    """An error has an ErrorInfo of our domain, a RequestInfo and the details of its reason, and no pushback."""
    payload = invalid if isinstance(invalid, bytes) else invalid.SerializeToString()

    async with serving_upstream(upstream, max_request_bytes=65_536, orchestration=OrchestrationUse.OFF) as running:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await raw_method(running.channel.unary_unary)(payload, metadata=(("x-request-id", "r-1"),))

    trailers = dict(failed.value.trailing_metadata() or ())
    status = Status.FromString(trailers[STATUS])
    error_info, request_info = error_details_pb2.ErrorInfo(), error_details_pb2.RequestInfo()
    assert [detail.TypeName().rpartition(".")[2] for detail in status.details] == [
        "ErrorInfo",
        "RequestInfo",
        *other_details,
    ]
    assert status.details[0].Unpack(error_info)
    assert (error_info.domain, error_info.reason) == ("reasoning-grpc", reason)
    assert status.details[1].Unpack(request_info)
    assert request_info.request_id == "r-1"
    assert status.code == failed.value.code().value[0]
    assert status.message == failed.value.details()
    assert "grpc-retry-pushback-ms" not in trailers


REQUEST_IDS = [
    pytest.param("in-request", "in-metadata", "in-request", id="the id in the request comes before the metadata"),
    pytest.param("", "in-metadata", "in-metadata", id="the metadata"),
    pytest.param("two words", "in-metadata", "in-metadata", id="the metadata when the id in the request is invalid"),
]


@pytest.mark.parametrize(("in_request", "in_metadata", "expected"), REQUEST_IDS)
async def test_errors_have_the_request_id_of_the_caller(
    stub: Any, in_request: str, in_metadata: str, expected: str
) -> None:
    """The errors of all methods have the request id that the caller gave."""
    bad = a_wire_request(model="x\n", request_id=in_request)
    metadata = (("x-request-id", in_metadata),)
    calls = (
        stub.Complete(bad, metadata=metadata),
        stub.StreamComplete(events_pb2.StreamCompleteRequest(request=bad), metadata=metadata).read(),
        stub.Classify(classification_pb2.ClassifyRequest(request=bad), metadata=metadata),
    )

    for call in calls:
        assert (await expect_failure(call)).request_id == expected


@pytest.mark.parametrize(
    "in_metadata",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("two words", id="invalid"),
        pytest.param("x" * 129, id="too long"),
    ],
)
async def test_the_server_makes_missing_request_ids(stub: Any, in_metadata: str | None) -> None:
    """The server makes a request id for each call that has no valid one."""
    metadata = () if in_metadata is None else (("x-request-id", in_metadata),)

    ids = [
        (await expect_failure(stub.Complete(a_wire_request(model="x"), metadata=metadata))).request_id for _ in range(2)
    ]

    assert [len(request_id) for request_id in ids] == [36, 36]
    assert all(request_id.startswith("req_") for request_id in ids)
    assert ids[0] != ids[1]


async def test_the_trailers_of_an_answer_have_the_request_id(stub: Any) -> None:
    """The trailers of a successful call have the request id under which the call was logged."""
    call = stub.Complete(a_wire_request(request_id="mine"))

    await call

    assert dict(await call.trailing_metadata() or ())["x-request-id"] == "mine"
