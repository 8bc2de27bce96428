"""Fixtures of all tests: a clean environment, a fake upstream, and a real server in front of it."""

import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from reasoning_grpc.config import hash_token
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.server_process import TOKEN, ServerFolder, ServerProcess, expect_clean_end
from tests.support.serving import RunningServer, serving_upstream
from tests.support.signals import default_signals_in_children
from tests.support.upstream import FakeUpstream

pytest_plugins = ["tests.support.process_guard"]


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server_folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerFolder]:
    """Provides a configuration with two models and a caller."""
    folder = tmp_path_factory.mktemp("cli")
    async with FakeUpstream() as upstream:
        (folder / "reasoning.toml").write_text(f"""
            default_model = "fake"
            grace_seconds = 600
            [callers.alice]
            token_hash = "{hash_token(TOKEN)}"
            [models.fake]
            litellm_model = "openai/fake-upstream"
            api_base = "{upstream.api_base}"
            api_key_env = "FAKE_KEY"
            description = "Not a model at all."
            capabilities = ["json_schema", "tools"]
            context_window_tokens = 8192
            input_usd_per_million = 1
            output_usd_per_million = 12
            [models.other]
            litellm_model = "openai/other-upstream"
            base_model = "gemini/gemini-2.5-pro"
            api_base = "{upstream.api_base}"
        """)
        yield ServerFolder(folder, upstream)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server_process(server_folder: ServerFolder) -> AsyncIterator[ServerProcess]:
    """Provides one server process for the tests of a module; at the end it is idle, and SIGTERM ends it."""
    async with server_folder.serving() as running:
        yield running
        await expect_clean_end(running, signal.SIGTERM)
