"""A real server on port 0, in this process, in front of the fake upstream."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.config import CallerEntry, ClassifierEntry, Config, ModelEntry, ProxyEntry, Settings
from reasoning_grpc.domain import Capability, Prices, Secret
from reasoning_grpc.server.server import Server
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.upstream import FakeUpstream

UPSTREAM_KEY = "sk-upstream-secret"
"""The key that the server sends to the fake upstream; it must never be seen anywhere else."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that serves, and a channel to it."""

    server: Server
    channel: grpc.aio.Channel

    @property
    def address(self) -> str:
        """Where it listens, HOST:PORT."""
        return self.server.address

    @property
    def stub(self) -> ReasoningServiceStub:
        """A stub on the channel."""
        return ReasoningServiceStub(self.channel)

    def client(self, **options: Any) -> ReasoningClient:
        """Our own client on the channel."""
        return ReasoningClient(channel=self.channel, **options)


def model_entry(api_base: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """An entry for a model behind the fake upstream."""
    return replace(
        ModelEntry(name=name, litellm_model=f"openai/{name}", api_base=api_base, api_key=Secret(UPSTREAM_KEY)),
        **overrides,
    )


def provider_entry(upstream: FakeUpstream, provider: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """An entry for a model behind the fake upstream, of a provider of litellm whose protocol it speaks."""
    return model_entry(upstream.api_base_for(provider), name, **{"litellm_model": f"{provider}/{name}", **overrides})


def proxy_entry(upstream: FakeUpstream, **overrides: Any) -> ProxyEntry:
    """The fake upstream as the LiteLLM proxy of a server."""
    return replace(ProxyEntry(base_url=f"http://127.0.0.1:{upstream.port}", api_key=Secret(UPSTREAM_KEY)), **overrides)


def judging_config(upstream: FakeUpstream, judge: FakeUpstream, **changes: Any) -> Config:
    """A configuration whose classifier's model, "judge", is another upstream than the one that answers, "fake"."""
    priced: dict[str, Any] = {"prices": Prices(input=1_000_000_000, output=2_000_000_000)}
    answers = model_entry(upstream.api_base, **priced)
    judges = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_SCHEMA}), **priced)
    return replace(config_for(answers, judges), **{"classifier": ClassifierEntry(model="judge"), **changes})


def config_for(
    *entries: ModelEntry,
    callers: Mapping[str, CallerEntry] | None = None,
    proxy: ProxyEntry | None = None,
    **settings: Any,
) -> Config:
    """A configuration for tests: port 0, quick retries are the policy's own, the first entry is the default."""
    values = {"listen": "127.0.0.1:0", "default_model": entries[0].name if entries else "", **settings}
    models = {entry.name: entry for entry in entries}
    return Config(settings=Settings(**values), models=models, callers=callers or {}, proxy=proxy)


@asynccontextmanager
async def serving(config: Config, telemetry: Telemetry | None = None) -> AsyncIterator[RunningServer]:
    """Runs a server of this configuration; stops it at the end, and checks that no call was left behind."""
    server = Server(config, telemetry)
    await server.start()
    try:
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield RunningServer(server, channel)
    finally:
        await server.stop(grace_seconds=5)
    assert server.calls_in_flight == 0


@asynccontextmanager
async def serving_upstream(upstream: FakeUpstream, **settings: Any) -> AsyncIterator[RunningServer]:
    """Runs a server whose one model, "fake", is the fake upstream."""
    async with serving(config_for(model_entry(upstream.api_base), **settings)) as running:
        yield running
