"""A real server on port 0, in the process of the test, in front of the fake upstream."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc

from reasoning_grpc.client import ReasoningClient
from reasoning_grpc.config import (
    CallerEntry,
    ClassifierEntry,
    Config,
    ModelEntry,
    OrchestrationUse,
    ProxyEntry,
    Settings,
)
from reasoning_grpc.domain import Capability, Prices, Secret, Wire
from reasoning_grpc.server.server import Server
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.health import check_health
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream

UPSTREAM_KEY = "sk-upstream-secret"
"""The key that the server sends to the fake upstream; it must appear nowhere else."""
_NEVER: Final = 1_000_000
_KNOWN_MODELS: Final = {"bedrock": "anthropic.claude-sonnet-4-5-20250929-v1:0"}
"""Models of providers for which litellm must know the model."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server in operation, and a channel to it."""

    server: Server
    channel: grpc.aio.Channel

    @property
    def address(self) -> str:
        """The address of the server, as HOST:PORT."""
        return self.server.address

    @property
    def stub(self) -> ReasoningServiceStub:
        """Returns a stub that uses the channel."""
        return ReasoningServiceStub(self.channel)

    def client(self, **options: Any) -> ReasoningClient:
        """Returns our own client, which uses the channel."""
        return ReasoningClient(channel=self.channel, **options)

    async def wait_for_calls(self, count: int) -> None:
        """Waits until exactly this many calls are in flight at the server, those that wait for their turn included.

        A client learns that its call has ended a moment before or after the server has done with it.
        """
        await self.wait_until(lambda: self.server.calls_in_flight == count)

    async def wait_until(self, predicate: Callable[[], bool]) -> None:
        """Waits until `predicate` is true of the server, which it asks after each answer to a probe of the health."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not predicate():
                await check_health(self.channel)


def model_entry(api_base: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model that the fake upstream serves."""
    return replace(
        ModelEntry(name=name, litellm_model=f"openai/{name}", api_base=api_base, api_key=Secret(UPSTREAM_KEY)),
        **overrides,
    )


def provider_entry(upstream: FakeUpstream, provider: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model of this provider, whose protocol the fake upstream knows."""
    return entry_at(upstream.api_base_for(provider), provider, name, **overrides)


def entry_at(api_base: str, provider: str, name: str = "fake", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model of this provider at any address; "responses" is OpenAI's Responses API."""
    wire = {"wire": Wire.RESPONSES} if provider == "responses" else {}
    return model_entry(api_base, name, **{"litellm_model": name_model(provider, name), **wire, **overrides})


def name_model(provider: str, name: str = "fake") -> str:
    """Returns litellm's name of a model of this provider."""
    return f"{'openai' if provider == 'responses' else provider}/{_KNOWN_MODELS.get(provider, name)}"


def proxy_entry(upstream: FakeUpstream, **overrides: Any) -> ProxyEntry:
    """Builds the entry of a LiteLLM proxy that the fake upstream plays."""
    return replace(ProxyEntry(base_url=f"http://127.0.0.1:{upstream.port}", api_key=Secret(UPSTREAM_KEY)), **overrides)


def judging_config(upstream: FakeUpstream, judge: FakeUpstream, **changes: Any) -> Config:
    """Builds a configuration with one upstream for the classifier's model, "judge", and one for the model "fake"."""
    priced: dict[str, Any] = {"prices": Prices(input=1_000_000_000, output=2_000_000_000)}
    answers = model_entry(upstream.api_base, **priced)
    judges = model_entry(judge.api_base, "judge", capabilities=frozenset({Capability.JSON_SCHEMA}), **priced)
    return replace(
        config_for(answers, judges), **{"classifier": ClassifierEntry(model="judge", timeout_seconds=60.0), **changes}
    )


def config_for(
    *entries: ModelEntry,
    callers: Mapping[str, CallerEntry] | None = None,
    proxy: ProxyEntry | None = None,
    **settings: Any,
) -> Config:
    """Builds a configuration that listens on port 0, and whose default model is the first entry.

    Its calls have nothing to do with each other: breakers never open, and a rate limit holds for one call, because many
    tests make calls that are to fail; and a lagging loop is no overload, because other tests may take all cores. The
    tests of all this say otherwise. The classifier chooses between the routes "passthrough" and "reasoning".
    """
    default = entries[0].name if entries else ""
    patient = {"breaker_min_calls": _NEVER, "max_cooldown_seconds": 0.0, "max_loop_lag_seconds": 60.0}
    routing = {"orchestration": OrchestrationUse.REQUESTED}
    values = {"listen": "127.0.0.1:0", "default_model": default, **patient, **routing, **settings}
    models = {entry.name: entry for entry in entries}
    return Config(settings=Settings(**values), models=models, callers=callers or {}, proxy=proxy)


@asynccontextmanager
async def serving(config: Config, telemetry: Telemetry | None = None) -> AsyncIterator[RunningServer]:
    """Runs a server with this configuration. At the end it stops the server, and checks that no call is left."""
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
