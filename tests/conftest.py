"""Fixtures of all tests: no key in the environment, a fake upstream, a real server in front of it."""

import os
from collections.abc import AsyncIterator

import pytest

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's environment reaches a test: no key, no address, no option of ours."""
    for name in os.environ:
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or name.startswith(("REASONING_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake upstream."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def judge() -> AsyncIterator[FakeUpstream]:
    """A fake upstream for the classifier's model alone."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def running_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A real server on port 0, whose one model is the fake upstream."""
    async with serving_upstream(upstream) as running:
        yield running


@pytest.fixture
def stub(running_server: RunningServer) -> ReasoningServiceStub:
    """A stub of the running server."""
    return running_server.stub
