"""A client that stops reading holds neither Envoy's memory nor the calls of others."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.call_log import recording_calls
from tests.support.envoy import Envoy, Settings, find_cluster, find_manager, running_envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.narrow_window import NARROW
from tests.support.serving import serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_first_delta

pytestmark = [pytest.mark.envoy, pytest.mark.process]

MEGABYTES = 8


async def stop_reading(envoy: Envoy, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Reads a stream up to its first delta and no further; returns what the server logs when the call has ended."""
    with recording_calls(caplog) as calls:
        async with grpc.aio.insecure_channel(envoy.address, options=NARROW) as channel:
            stub: Any = ReasoningServiceStub(channel)
            stream = stub.StreamComplete(a_stream_request())
            await read_first_delta(stream)
            line = await calls.wait_for_line()
            stream.cancel()
    return line


def queue_long_answer(upstream: FakeUpstream) -> None:
    """Lets the next answer be much longer than all windows together."""
    upstream.reply(*["x" * 50_000] * (MEGABYTES * 20))


async def test_a_client_that_stops_reading_is_released(
    upstream: FakeUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Envoy takes little of its answer, so the server waits, and ends the call after write_timeout_seconds."""
    queue_long_answer(upstream)
    async with (
        serving_upstream(upstream, write_timeout_seconds=1.0) as running,
        running_envoy(tmp_path, [running.address]) as envoy,
    ):
        line = await stop_reading(envoy, caplog)

    assert (line["code"], line["reason"]) == ("CANCELLED", "CLIENT_STALLED")


def widen_windows(settings: Settings) -> None:
    """Leaves the windows at Envoy's defaults."""
    options = find_cluster(settings)["typed_extension_protocol_options"]
    (protocol,) = options.values()
    for side in (
        find_manager(settings)["http2_protocol_options"],
        protocol["explicit_http_config"]["http2_protocol_options"],
    ):
        del side["initial_stream_window_size"], side["initial_connection_window_size"]


async def test_by_default_envoy_would_take_the_whole_answer(
    upstream: FakeUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With its own windows, Envoy keeps an answer that nobody reads, and the server takes it for received."""
    queue_long_answer(upstream)
    async with (
        serving_upstream(upstream, write_timeout_seconds=60.0) as running,
        running_envoy(tmp_path, [running.address], change=widen_windows) as envoy,
    ):
        line = await stop_reading(envoy, caplog)

    assert line["code"] == "OK"


async def test_clients_that_stop_reading_leave_room_for_others(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A call on the same connection to the server is answered while eight streams wait for their clients."""
    async with (
        serving_upstream(upstream, write_timeout_seconds=600.0) as running,
        running_envoy(tmp_path, [running.address]) as envoy,
    ):
        await envoy.stub.Complete(a_wire_request())  # the connection is there, and all of them share it
        for _ in range(8):
            queue_long_answer(upstream)
        channels = [grpc.aio.insecure_channel(envoy.address, options=NARROW) for _ in range(8)]
        stubs: list[Any] = [ReasoningServiceStub(channel) for channel in channels]
        streams = [stub.StreamComplete(a_stream_request()) for stub in stubs]
        await asyncio.gather(*map(read_first_delta, streams))
        await envoy.wait_for_count("upstream_flow_control_paused_reading_total", lambda count: count >= 8)

        answer = await envoy.stub.Complete(a_wire_request())

        assert answer.message.content[0].text == "Hello world"
        for stream in streams:
            stream.cancel()
        for channel in channels:
            await channel.close()
