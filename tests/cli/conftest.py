"""Fixtures of the tests of the command line: a server process in front of a fake upstream, on one event loop."""

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from reasoning_grpc.config import hash_token
from tests.support.server_process import TOKEN, ServerFolder, ServerProcess, expect_clean_end
from tests.support.upstream import FakeUpstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_folder(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerFolder]:
    """Provides a configuration with two models and a caller."""
    folder = tmp_path_factory.mktemp("cli")
    async with FakeUpstream() as upstream:
        (folder / "reasoning.toml").write_text(f"""
            default_model = "fake"
            grace_seconds = 600
            pass_upstream_messages = true
            [classifier]
            strategy = "model"
            timeout_seconds = 60
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


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_process(server_folder: ServerFolder) -> AsyncIterator[ServerProcess]:
    """Provides one server process for all tests that do not end it; at last SIGTERM ends it, when it is idle."""
    async with server_folder.serving() as running:
        yield running
        await expect_clean_end(running, signal.SIGTERM)
