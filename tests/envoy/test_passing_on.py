"""What a caller sends along reaches the server as it was, and nothing of Envoy's ends a call that is slow or silent."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.config import CallerEntry, hash_token
from tests.envoy.conftest import Fleet
from tests.support.call_log import recording_calls
from tests.support.envoy import Settings, find_manager, list_routes, running_envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]

TRACE = "0af7651916cd43dd8448eb211c80319c"
UUID = "6c1f3f1e-2b62-4a39-9e5c-6f6f8f3a9d10"


async def test_tokens_are_passed_on(upstream: FakeUpstream, tmp_path: Path) -> None:
    """The server knows its caller by the token, and refuses a call without one."""
    config = config_for(
        model_entry(upstream.api_base), callers={"me": CallerEntry(name="me", token_hash=hash_token("secret"))}
    )
    async with serving(config) as running, running_envoy(tmp_path, [running.address]) as envoy:
        answer = await envoy.stub.Complete(a_wire_request(), metadata=(("authorization", "Bearer secret"),))
        refusal = await expect_failure(envoy.stub.Complete(a_wire_request()))

    assert answer.message.content
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING")


@pytest.mark.parametrize("request_id", ["order-17", UUID])
async def test_request_ids_are_passed_on(fleet: Fleet, request_id: str) -> None:
    """The id of the caller is the one in the status; Envoy writes nothing into it, also when it is a UUID."""
    metadata = (("x-request-id", request_id),)

    failure = await expect_failure(fleet.stub.Complete(a_wire_request(model="none"), metadata=metadata))

    assert (failure.reason, failure.request_id) == ("MODEL_NOT_FOUND", request_id)


async def test_traces_are_passed_on(upstream: FakeUpstream, fleet: Fleet) -> None:
    """The call of the model belongs to the caller's trace, and the server's sampling follows the caller's."""
    metadata = (("traceparent", f"00-{TRACE}-b7ad6b7169203331-01"), ("tracestate", "vendor=1"))

    await fleet.stub.Complete(a_wire_request(), metadata=metadata)

    headers = (await upstream.request()).headers
    version, trace, _, flags = headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01")
    assert headers["tracestate"] == "vendor=1"


async def test_the_deadline_is_passed_on(
    fleet: Fleet, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends a call at the deadline that it was sent; the client itself keeps no time here, nor does Envoy."""
    upstream.hang()
    with recording_calls(caplog) as calls:
        failure = await expect_failure(fleet.stub.Complete(a_wire_request(), metadata=(("grpc-timeout", "2S"),)))
        line = await calls.wait_for_line()

    assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert line["code"] == "DEADLINE_EXCEEDED"
    await upstream.disconnect()


async def test_a_cancel_reaches_the_upstream(upstream: FakeUpstream, fleet: Fleet) -> None:
    """A caller that leaves ends its call at the provider, as without Envoy."""
    upstream.hang_after(1)
    stream = fleet.stub.StreamComplete(a_stream_request())
    await read_first_delta(stream)

    stream.cancel()

    await upstream.disconnect()


def end_silent_streams(settings: Settings) -> None:
    """Sets the time after which Envoy ends a silent stream to a tenth of a second."""
    find_manager(settings)["stream_idle_timeout"] = "0.1s"


def end_long_calls(settings: Settings) -> None:
    """Sets the time after which Envoy ends a call to a tenth of a second."""
    for route in list_routes(settings):
        if "route" in route:
            route["route"]["timeout"] = "0.1s"


@pytest.mark.parametrize("change", [end_silent_streams, end_long_calls])
async def test_such_a_timer_would_end_an_answer(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path, change: Any
) -> None:
    """With another value these settings end an answer that has begun, as UNAVAILABLE or as a stream without its end."""
    upstream.always.hang_after(1)
    async with running_envoy(tmp_path, [server.address for server in servers], change=change) as envoy:
        failure = await expect_failure(read_to_end(envoy.stub.StreamComplete(a_stream_request())))

    assert failure.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
    assert failure.reason == ""


def age_connections(settings: Settings) -> None:
    """Sets the age at which a connection takes no new calls to a tenth of a second."""
    find_manager(settings)["common_http_protocol_options"]["max_connection_duration"] = "0.1s"


async def test_a_stream_outlives_the_age_of_its_connection(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path
) -> None:
    """The old connection keeps its stream to the end, and new calls open a new one."""
    gate = upstream.gated("a", "b")
    gate.open()
    async with running_envoy(tmp_path, [server.address for server in servers], change=age_connections) as envoy:
        stream = envoy.stub.StreamComplete(a_stream_request())
        await read_first_delta(stream)
        while (await envoy.read_counts("http.reasoning."))["downstream_cx_max_duration_reached"] == 0:
            pass
        answer = await envoy.stub.Complete(a_wire_request())
        gate.open_all()
        rest = await read_to_end(stream)

        assert answer.message.content
        assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]
        assert (await envoy.read_counts("http.reasoning."))["downstream_cx_total"] > 1


async def test_more_than_a_thousand_streams_share_a_connection(upstream: FakeUpstream, fleet: Fleet) -> None:
    """Calls of one client beyond Envoy's default do not wait for earlier ones to end."""
    upstream.always.hang_after(1)
    streams = [fleet.stub.StreamComplete(a_stream_request()) for _ in range(1100)]

    await asyncio.gather(*map(read_first_delta, streams))

    assert sum(fleet.calls_in_flight) == 1100
    for stream in streams:
        stream.cancel()
    await upstream.disconnect(1100)


def allow_no_memory(settings: Settings) -> None:
    """Sets the bound of Envoy's memory to less than it has."""
    settings["overload_manager"]["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"] = 1


async def test_without_memory_calls_are_refused(
    upstream: FakeUpstream, servers: list[RunningServer], tmp_path: Path
) -> None:
    """An Envoy over its bound refuses calls as UNAVAILABLE, and no server gets them."""
    async with running_envoy(tmp_path, [server.address for server in servers], change=allow_no_memory) as envoy:
        while (await envoy.read_counts("overload.envoy.overload_actions."))["stop_accepting_requests.active"] == 0:
            pass
        failure = await expect_failure(envoy.stub.Complete(a_wire_request()))

    assert failure.code == grpc.StatusCode.UNAVAILABLE
    assert upstream.requests == []
