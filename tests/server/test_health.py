"""The health service reports whether the server is alive, warm and ready."""

import asyncio

import grpc
import pytest

from reasoning_grpc.server.listener import SERVICE
from reasoning_grpc.server.server import LIVENESS, READINESS, Server
from tests.support.factories import a_wire_request
from tests.support.health import (
    NOT_SERVING,
    SERVICE_UNKNOWN,
    SERVING,
    check_health,
    list_health,
    next_status,
    watch_health,
)
from tests.support.serving import RunningServer, config_for, model_entry
from tests.support.threads import hold_threads
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure


@pytest.mark.parametrize("name", ["", SERVICE, READINESS, LIVENESS], ids=["server", "service", "readiness", "liveness"])
async def test_a_warm_server_is_serving_under_every_name(running_server: RunningServer, name: str) -> None:
    """A check and a watch of every known name report SERVING once the server is warm."""
    assert await check_health(running_server.channel, name) == SERVING
    assert await next_status(watch_health(running_server.channel, name)) == SERVING


async def test_the_list_has_every_name(running_server: RunningServer) -> None:
    """The method List reports the status of every name."""
    names = {"", SERVICE, READINESS, LIVENESS}
    assert await list_health(running_server.channel) == dict.fromkeys(names, SERVING)


async def test_an_unknown_name_has_no_health_status(running_server: RunningServer) -> None:
    """A check of an unknown name fails with NOT_FOUND; a watch reports SERVICE_UNKNOWN and stays open."""
    failed = await expect_failure(check_health(running_server.channel, "reasoning_grpc.v1.Nope"))

    assert failed.code == grpc.StatusCode.NOT_FOUND
    assert await next_status(watch_health(running_server.channel, "reasoning_grpc.v1.Nope")) == SERVICE_UNKNOWN


async def test_the_server_is_not_serving_until_it_is_warm(upstream: FakeUpstream) -> None:
    """A server that warms up listens and is alive, but reports NOT_SERVING; watches see each change until the stop."""
    server = Server(config_for(model_entry(upstream.api_base)))
    with hold_threads() as release:
        starting = asyncio.create_task(server.start())
        while not server.address:  # noqa: ASYNC110 - no event says that the server listens
            await asyncio.sleep(0)
        async with grpc.aio.insecure_channel(server.address) as channel:
            watches = [watch_health(channel, name) for name in ("", SERVICE, READINESS)]
            alive = watch_health(channel, LIVENESS)

            assert [await next_status(watch) for watch in watches] == [NOT_SERVING] * 3
            assert await next_status(alive) == SERVING
            assert await check_health(channel, READINESS) == NOT_SERVING
            assert not starting.done()

            release()
            await starting
            assert [await next_status(watch) for watch in watches] == [SERVING] * 3

            assert await server.stop(grace_seconds=60) == 0
            assert [await next_status(watch) for watch in watches] == [NOT_SERVING] * 3
            assert (await expect_failure(alive.read())).code == grpc.StatusCode.UNAVAILABLE


async def test_a_failing_upstream_leaves_the_server_healthy(
    upstream: FakeUpstream, running_server: RunningServer
) -> None:
    """The server stays SERVING while the calls of its upstream fail."""
    upstream.always.fail(401)

    failed = await expect_failure(running_server.stub.Complete(a_wire_request()))

    assert failed.reason == "UPSTREAM_CREDENTIALS_REJECTED"
    assert await check_health(running_server.channel) == SERVING
