"""How many connections to upstreams the server opens, in every way that calls go, as the upstream counts them."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import Secret
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.telemetry.plan import read_telemetry_plan
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import RunningServer, config_for, provider_entry, proxy_entry, serving
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.thorough

EVERY_WAY: Final = pytest.mark.parametrize(
    "provider", ["openai", "responses", "azure", "hosted_vllm", "anthropic", "gemini", "bedrock"]
)
CALLS: Final = 12


async def _call_complete(running: RunningServer) -> None:
    await running.client().complete(a_wire_request())


async def _call_list(running: RunningServer) -> None:
    stub: Any = running.stub
    await stub.ListModels(models_pb2.ListModelsRequest())


async def _call_stream(running: RunningServer) -> None:
    async for _ in running.client().stream(a_wire_request()):
        pass


@EVERY_WAY
async def test_successive_calls_share_one_connection(upstream: FakeUpstream, provider: str) -> None:
    """Successive unary calls and streams need one connection, whatever their deadlines and however they end."""
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        for number in range(CALLS):
            await _call_complete(running)
            await _call_stream(running)
            await running.client().complete(a_wire_request(), timeout_seconds=30 + number / 7)
        upstream.fail(400)
        with pytest.raises(CallFailed):
            await _call_complete(running)
        await _call_complete(running)

    assert len(upstream.requests) == 3 * CALLS + 2
    assert upstream.connections == 1


@EVERY_WAY
async def test_simultaneous_calls_have_one_connection_each(upstream: FakeUpstream, provider: str) -> None:
    """There are as many connections as calls in progress, streams or not, and the next calls reuse them."""
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        for round_number in (1, 2):
            gates = [upstream.gated("a") for _ in range(CALLS)]
            calls = [
                asyncio.create_task(_call_complete(running) if number % 2 else _call_stream(running))
                for number in range(CALLS)
            ]
            await upstream.request(round_number * CALLS)
            open_at_once = upstream.open_connections
            for gate in gates:
                gate.open_all()
            await asyncio.gather(*calls)

            assert open_at_once == CALLS

    assert upstream.connections == CALLS


@EVERY_WAY
async def test_the_pool_is_bounded(upstream: FakeUpstream, provider: str) -> None:
    """Calls beyond the size of the pool wait for a connection, and all are answered."""
    gate = upstream.always.reply("a", gated=True)
    settings: dict[str, Any] = {"max_upstream_connections": 3, "upstream_queue_seconds": 60.0}
    async with serving(config_for(provider_entry(upstream, provider), **settings)) as running:
        calls = [asyncio.create_task(_call_complete(running)) for _ in range(CALLS)]
        await upstream.request(3)
        gate.open_all()
        await asyncio.gather(*calls)

    assert len(upstream.requests) == CALLS
    assert upstream.connections == 3


@EVERY_WAY
async def test_a_connection_that_was_cut_off_is_replaced(upstream: FakeUpstream, provider: str) -> None:
    """Each call that its client leaves closes one connection, and no other call opens one."""
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        for number in range(1, 4):
            upstream.gated("a")
            call: Any = running.stub.Complete(a_wire_request())
            await upstream.request(2 * number - 1)
            call.cancel()
            await upstream.disconnect(number)
            await _call_complete(running)

    assert upstream.connections == 4


async def test_callers_keys_share_the_connection(upstream: FakeUpstream) -> None:
    """Callers with their own keys for the proxy share the connections; each request has its caller's key."""
    upstream.model_info.lists("fake")
    tokens = {f"caller{number}": f"token-{number}" for number in range(CALLS)}
    callers = {
        name: CallerEntry(
            name=name, token_hash=hash_token(token), upstream_keys={"litellm_proxy/*": Secret(f"sk-{name}")}
        )
        for name, token in tokens.items()
    }

    async with serving(config_for(callers=callers, proxy=proxy_entry(upstream), default_model="fake")) as running:
        for token in tokens.values():
            await running.client(token=token).complete(a_wire_request())

    keys = [request.headers["Authorization"] for request in upstream.requests if request.method == "POST"]
    assert keys == [f"Bearer sk-{name}" for name in tokens]
    assert upstream.connections == 2  # one of the calls, one of the discovery


async def test_discovery_has_one_connection(upstream: FakeUpstream) -> None:
    """The list of models is read again and again over one connection, whoever requests it."""
    upstream.model_info.lists("fake")

    async with serving(config_for(proxy=proxy_entry(upstream), discovery_ttl_seconds=0.02)) as running:
        await upstream.request(10)
        await asyncio.gather(*(_call_list(running) for _ in range(CALLS)))

    assert upstream.connections == 1


async def test_the_gauge_counts_connections(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gauge reports the active and idle connections of each pool as the upstream counts them."""
    upstream.model_info.lists("fake")
    async with OtlpReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "20")
        telemetry = Telemetry(read_telemetry_plan(os.environ))
        config = config_for(provider_entry(upstream, "openai"), proxy=proxy_entry(upstream))
        try:
            async with serving(config, telemetry) as running:
                gates = [upstream.gated("a") for _ in range(3)]
                calls = [asyncio.create_task(_call_complete(running)) for _ in gates]
                await _wait_for_gauge(receiver, _make_counts(active=3, idle=0))
                gates[0].open_all()
                await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                await _wait_for_gauge(receiver, _make_counts(active=2, idle=1))
                for gate in gates:
                    gate.open_all()
                await asyncio.gather(*calls)
                await _wait_for_gauge(receiver, _make_counts(active=0, idle=3))
                assert upstream.open_connections == 4
        finally:
            await telemetry.aclose()


async def _wait_for_gauge(receiver: OtlpReceiver, expected: Mapping[tuple[str, str], int]) -> None:
    """Waits until the gauge has these values."""
    await receiver.expect(lambda: _read_gauge(receiver) == expected, f"expected {expected}")


def _make_counts(*, active: int, idle: int) -> Mapping[tuple[str, str], int]:
    calls = {("model_calls", "active"): active, ("model_calls", "idle"): idle}
    return calls | {("discovery", "active"): 0, ("discovery", "idle"): 1}


def _read_gauge(receiver: OtlpReceiver) -> Mapping[tuple[str, str], int]:
    """Returns the last exported values, by pool and state."""
    found = [metric for metric in receiver.metrics if metric.name == "http.client.open_connections"]
    values: dict[tuple[str, str], int] = {}
    for point in found[-1].gauge.data_points if found else ():
        attributes = {attribute.key: attribute.value.string_value for attribute in point.attributes}
        values[attributes["reasoning_grpc.pool"], attributes["http.connection.state"]] = point.as_int
    return values
