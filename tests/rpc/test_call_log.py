"""The log line of a call says who called, how long what took, and what the upstream answered."""

from typing import Any

import grpc
import pytest

from tests.support.call_log import recording_calls
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import read_to_end


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_the_line_has_peer_and_times(
    running_server: RunningServer, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The first token and the overhead lie within the duration, and the peer is the client's address."""
    stub: Any = running_server.stub
    with recording_calls(caplog) as log:
        if method == "Complete":
            await stub.Complete(a_wire_request())
        else:
            await read_to_end(stub.StreamComplete(a_stream_request()))
        line = await log.wait_for_line()

    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert 0 < line["first_token_ms"] <= line["duration_ms"]
    assert 0 < line["overhead_ms"] <= line["duration_ms"]
    assert "http_status" not in line


async def test_the_line_has_the_status_of_the_upstream(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A call that an upstream refused has the HTTP status of the last attempt, and no times of an answer."""
    upstream.always.fail(503)
    async with serving_upstream(upstream, max_retries=1) as running:
        stub: Any = running.stub
        with recording_calls(caplog) as log:
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.Complete(a_wire_request())
            line = await log.wait_for_line()

    assert (line["reason"], line["attempts"], line["http_status"]) == ("UPSTREAM_OVERLOADED", 2, 503)
    assert "first_token_ms" not in line
    assert "overhead_ms" not in line
