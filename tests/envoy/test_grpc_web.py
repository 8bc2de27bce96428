"""gRPC-Web, as browsers speak it, is converted by Envoy: messages, trailers, errors with details, and who may call."""

import asyncio

import pytest
from google.rpc import error_details_pb2

from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2
from tests.envoy.conftest import Fleet
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.grpc_web import BINARY, TEXT, call_web
from tests.support.upstream import FakeUpstream

pytestmark = [pytest.mark.envoy, pytest.mark.process]

PAGE = "https://app.example.com"
EITHER_FORM = pytest.mark.parametrize("content_type", [BINARY, TEXT])


@EITHER_FORM
async def test_a_unary_call_ends_with_its_trailers(http_fleet: Fleet, content_type: str) -> None:
    """The body has one message, and a last frame with the status."""
    envoy = http_fleet.envoy

    answer = await call_web(envoy.session, envoy.url + "Complete", a_wire_request(), content_type=content_type)

    (message,) = answer.messages
    assert completion_pb2.CompleteResponse.FromString(message).message.content[0].text == "Hello world"
    assert (answer.http_status, answer.content_type, answer.code) == (200, content_type, 0)


@EITHER_FORM
async def test_a_stream_ends_with_its_trailers(http_fleet: Fleet, content_type: str) -> None:
    """Each event is a frame, and the status follows the last one."""
    envoy = http_fleet.envoy

    answer = await call_web(envoy.session, envoy.url + "StreamComplete", a_stream_request(), content_type=content_type)

    events = [events_pb2.StreamCompleteResponse.FromString(message) for message in answer.messages]
    kinds = [event.WhichOneof("kind") for event in events]
    assert kinds == ["started", "content_delta", "content_delta", "completed"]
    assert answer.code == 0


@EITHER_FORM
async def test_a_refused_call_keeps_its_details(http_fleet: Fleet, content_type: str) -> None:
    """A status without a message says what is wrong, under HTTP's 200."""
    envoy, request = http_fleet.envoy, a_wire_request(model="none")

    answer = await call_web(envoy.session, envoy.url + "Complete", request, content_type=content_type)

    info = error_details_pb2.ErrorInfo()
    assert answer.status.details[0].Unpack(info)
    assert (answer.http_status, answer.code, answer.messages) == (200, 5, [])
    assert (info.reason, info.domain) == ("MODEL_NOT_FOUND", "reasoning-grpc")


@EITHER_FORM
async def test_a_stream_that_breaks_keeps_its_details(
    upstream: FakeUpstream, http_fleet: Fleet, content_type: str
) -> None:
    """The frame with the trailers follows the events, and has the reason and the progress."""
    envoy = http_fleet.envoy
    upstream.cut_after(1)

    answer = await call_web(envoy.session, envoy.url + "StreamComplete", a_stream_request(), content_type=content_type)

    info, interruption = error_details_pb2.ErrorInfo(), interruption_pb2.Interruption()
    assert answer.status.details[0].Unpack(info)
    assert any(detail.Unpack(interruption) for detail in answer.status.details)
    assert (len(answer.messages), answer.code, info.reason) == (2, 14, "UPSTREAM_UNREACHABLE")
    assert interruption.model_call_count == 1
    assert answer.trailers["grpc-retry-pushback-ms"] == "-1"


@EITHER_FORM
async def test_a_deadline_of_a_browser_holds(upstream: FakeUpstream, http_fleet: Fleet, content_type: str) -> None:
    """The header grpc-timeout is the deadline: the server ends the call, and the upstream is left."""
    envoy = http_fleet.envoy
    upstream.hang()
    call = call_web(
        envoy.session, envoy.url + "Complete", a_wire_request(), content_type=content_type, **{"grpc-timeout": "2S"}
    )

    answer = await call

    assert (answer.code, answer.messages) == (4, [])
    await upstream.disconnect()


async def test_events_arrive_as_they_happen(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """The first events are readable while the model still writes."""
    envoy, request = http_fleet.envoy, a_stream_request()
    gate = upstream.gated("a", "b")
    gate.open()
    body = b"\0" + request.ByteSize().to_bytes(4, "big") + request.SerializeToString()

    async with envoy.session.post(
        envoy.url + "StreamComplete", data=body, headers={"content-type": BINARY}
    ) as response:
        kinds = []
        for _ in range(2):
            head = await response.content.readexactly(5)
            message = await response.content.readexactly(int.from_bytes(head[1:], "big"))
            kinds.append(events_pb2.StreamCompleteResponse.FromString(message).WhichOneof("kind"))
        gate.open_all()
        await response.read()

    assert kinds == ["started", "content_delta"]


async def test_a_page_that_may_call_is_told_so(http_fleet: Fleet) -> None:
    """A browser's question is answered by Envoy: the headers of gRPC-Web and the token may be sent, with POST alone."""
    envoy = http_fleet.envoy
    wanted = "authorization,content-type,grpc-timeout,x-grpc-web,x-user-agent"
    headers = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": wanted,
    }

    async with envoy.session.options(envoy.url + "Complete", headers=headers) as response:
        answered = {name.lower(): value for name, value in response.headers.items()}

    assert response.status == 200
    assert answered["access-control-allow-origin"] == PAGE
    assert answered["access-control-allow-methods"] == "POST"
    assert set(answered["access-control-allow-headers"].split(",")) >= set(wanted.split(","))


async def test_a_page_that_may_call_sees_the_status(http_fleet: Fleet) -> None:
    """The status of a refused call stands in headers, which a script may read only if the answer says so."""
    envoy, request = http_fleet.envoy, a_wire_request(model="none")

    answer = await call_web(envoy.session, envoy.url + "Complete", request, origin=PAGE)

    assert answer.trailers["access-control-allow-origin"] == PAGE
    exposed = set(answer.trailers["access-control-expose-headers"].split(","))
    assert exposed >= {"grpc-status", "grpc-message", "grpc-status-details-bin"}


async def test_another_page_is_not_told_so(http_fleet: Fleet) -> None:
    """The browser then shows the answer to no script of that page, and sends it no token."""
    envoy = http_fleet.envoy
    headers = {"origin": "https://evil.example.com", "access-control-request-method": "POST"}

    async with envoy.session.options(envoy.url + "Complete", headers=headers) as response:
        assert "access-control-allow-origin" not in response.headers


async def test_a_browser_that_leaves_ends_its_call(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """The upstream is left when the browser's request is aborted."""
    envoy = http_fleet.envoy
    upstream.hang()
    call = asyncio.create_task(call_web(envoy.session, envoy.url + "Complete", a_wire_request()))
    await upstream.request()

    call.cancel()

    await upstream.disconnect()
