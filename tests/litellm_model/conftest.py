"""Fixtures for tests of the adapter through a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from logging import DEBUG, ERROR
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.cli.logs import JsonFormatter
from reasoning_grpc.config import ModelEntry
from reasoning_grpc.litellm_model import TransportLimits, library
from reasoning_grpc.litellm_model.transport.http_transport import HttpTransport
from tests.support.captured_body import PREFIXES
from tests.support.checked_server import PROMPT, CheckedServer, CheckedServing
from tests.support.leftovers import leaving_nothing_behind
from tests.support.native_events import NATIVE_PROVIDERS
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream


@pytest.fixture(params=["openai", "hosted_vllm"])
def provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of the server's model; the default is OpenAI's protocol, by our reader and by litellm's."""
    return str(request.param)


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """Our connections, without a server."""
    await library.load()
    opened = HttpTransport(TransportLimits())
    yield opened
    await opened.aclose()


@pytest.fixture
def checked_serving(upstream: FakeUpstream, provider: str, caplog: pytest.LogCaptureFixture) -> CheckedServing:
    """Runs a server, and checks at the end that the fault left nothing behind and no secret was shown."""
    caplog.set_level(DEBUG, "reasoning_grpc")

    @asynccontextmanager
    async def checked_serving(*entries: ModelEntry, **settings: Any) -> AsyncIterator[CheckedServer]:
        config = config_for(*(entries or (provider_entry(upstream, provider),)), **settings)
        async with leaving_nothing_behind(), serving(config) as running:
            checked_server = CheckedServer(running)
            yield checked_server

            await upstream.idle()
            assert running.server.calls_in_flight == 0
            health = health_pb2_grpc.HealthStub(running.channel)
            check = await health.Check(health_pb2.HealthCheckRequest())  # type: ignore[attr-defined]
            assert check.status == health_pb2.HealthCheckResponse.SERVING
        records = [record for phase in ("setup", "call", "teardown") for record in caplog.get_records(phase)]
        assert [record.getMessage() for record in records if record.levelno >= ERROR] == []
        shown = b"\n".join([JsonFormatter().format(record).encode() for record in records] + checked_server.shown_bytes)
        for secret in (UPSTREAM_KEY, UPSTREAM_SECRET, PROMPT):
            assert secret.encode() not in shown

    return checked_serving


@pytest.fixture
async def checked_server(checked_serving: CheckedServing) -> AsyncIterator[CheckedServer]:
    """A server with the default settings."""
    async with checked_serving() as checked_server:
        yield checked_server


@pytest.fixture
async def native_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model of each provider that has its own protocol, named after the provider."""
    entries = [provider_entry(upstream, provider, name=provider) for provider in NATIVE_PROVIDERS]
    async with serving(config_for(*entries)) as running:
        yield running


@pytest.fixture(params=NATIVE_PROVIDERS)
def native_provider(request: pytest.FixtureRequest) -> str:
    """litellm's prefix of a provider with its own protocol, which is also the name of its model."""
    return str(request.param)


@pytest.fixture
async def prefix_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with a model for each prefix; the fake upstream serves all of them."""
    options = frozenset({"min_p", "chat_template_kwargs"})
    entries = [
        model_entry(upstream.api_base, prefix, litellm_model=f"{prefix}/fake", provider_options=options)
        for prefix in PREFIXES
    ]
    async with serving(config_for(*entries)) as running:
        yield running
