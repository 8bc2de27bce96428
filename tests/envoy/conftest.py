"""Fixtures of the tests with Envoy: three servers in the process of the test, and two that are processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.envoy import Envoy, running_envoy
from tests.support.server_process import ServerFolder, ServerProcess
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream


@dataclass(frozen=True)
class Fleet:
    """Three servers behind Envoy."""

    servers: list[RunningServer]
    envoy: Envoy

    @property
    def stub(self) -> Any:
        """Returns a stub of the service behind Envoy."""
        return self.envoy.stub

    @property
    def channel(self) -> grpc.aio.Channel:
        """Returns a channel to Envoy."""
        return self.envoy.channel

    @property
    def addresses(self) -> list[str]:
        """Returns the addresses of the servers."""
        return [server.address for server in self.servers]

    @property
    def calls_in_flight(self) -> list[int]:
        """Returns the number of calls at each server."""
        return [server.server.calls_in_flight for server in self.servers]


@pytest.fixture
async def servers(upstream: FakeUpstream) -> AsyncIterator[list[RunningServer]]:
    """Provides three servers of one upstream."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(serving_upstream(upstream, max_retries=0)) for _ in range(3)]


@pytest.fixture
async def fleet(servers: list[RunningServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    """Provides three servers of one upstream behind Envoy, which has found all of them healthy."""
    async with running_envoy(tmp_path, [server.address for server in servers]) as envoy:
        yield Fleet(servers, envoy)


@dataclass(frozen=True)
class Pair:
    """Two server processes of one upstream behind Envoy. Their classifier's model is a fake upstream of its own."""

    servers: tuple[ServerProcess, ServerProcess]
    envoy: Envoy


@pytest.fixture
async def processes(
    upstream: FakeUpstream, judge: FakeUpstream, tmp_path: Path
) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Provides two server processes that serve."""
    (tmp_path / "reasoning.toml").write_text(f"""
        grace_seconds = 600
        default_model = "fake"
        [classifier]
        strategy = "model"
        model = "judge"
        timeout_seconds = 60
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        api_key_env = "FAKE_KEY"
        [models.judge]
        litellm_model = "openai/judge"
        api_base = "{judge.api_base}"
        api_key_env = "FAKE_KEY"
    """)
    folder = ServerFolder(tmp_path, upstream, variables={"REASONING_DRAIN_DELAY_SECONDS": "5"})
    async with AsyncExitStack() as stack:
        first, second = await asyncio.gather(*(stack.enter_async_context(folder.serving()) for _ in range(2)))
        yield first, second


@pytest.fixture
async def pair(processes: tuple[ServerProcess, ServerProcess], tmp_path: Path) -> AsyncIterator[Pair]:
    """Provides two server processes behind Envoy, which has found both of them healthy."""
    async with running_envoy(tmp_path, [process.address for process in processes]) as envoy:
        yield Pair(processes, envoy)


@pytest.fixture
async def http_fleet(servers: list[RunningServer], tmp_path: Path) -> AsyncIterator[Fleet]:
    """Provides three servers of one upstream behind Envoy with its HTTP face, which has found all of them healthy."""
    async with running_envoy(tmp_path, [server.address for server in servers], name="http.yaml") as envoy:
        yield Fleet(servers, envoy)
