"""Fixtures of all tests: a clean environment, a fake upstream, and a real server in front of it."""

import gc
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import settings

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.serving import RunningServer, serving_upstream
from tests.support.signals import default_signals_in_children
from tests.support.upstream import FakeUpstream

pytest_plugins = ["tests.support.process_guard"]

settings.register_profile("any speed", deadline=None)  # Hypothesis counts wall time, which a busy machine stretches
settings.load_profile("any speed")


_ended_tests = itertools.count(1)


def pytest_runtest_logfinish() -> None:
    """Frees what tests have left, after each hundred of them: see pytest.

    A server in this process freezes all objects at its start, also those of the test, which would never be collected
    then. Ten thousand tests would leave gigabytes.
    """
    if next(_ended_tests) % 100 == 0:
        gc.unfreeze()
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _default_signals() -> Iterator[None]:
    """Lets signals reach the processes that tests start, even when the test run itself ignores them."""
    with default_signals_in_children():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes keys, addresses and our own options from the environment."""
    for name in os.environ:
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or name.startswith(("REASONING_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _find_last_leaks() -> Iterator[None]:
    """A leak of the last tests fails the run, even in a worker of pytest-xdist: see findings/xdist-hides-leaks.sh."""
    yield
    gc.collect()


@pytest.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """Provides a fake upstream."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def judge() -> AsyncIterator[FakeUpstream]:
    """Provides a fake upstream for the model of the classifier."""
    async with FakeUpstream() as fake:
        yield fake


@pytest.fixture
async def running_server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """Provides a real server on port 0, whose only model is the fake upstream."""
    async with serving_upstream(upstream) as running:
        yield running


@pytest.fixture
def stub(running_server: RunningServer) -> ReasoningServiceStub:
    """Provides a stub of the running server."""
    return running_server.stub
