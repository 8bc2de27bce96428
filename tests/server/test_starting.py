"""A server that starts: its log, which takes long on a slow machine, its generators, and why it does not start."""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncGenerator
from typing import Final

import pytest

from reasoning_grpc.server import Server, StartError
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

LOADS: Final = ["loading litellm", "litellm is loaded"]


async def test_a_start_shows_its_progress(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """The log says when the server starts, when litellm is being loaded, when it is loaded, and when it serves."""
    caplog.set_level(logging.INFO, "reasoning_grpc.server")

    async with serving(config_for(model_entry(upstream.api_base))):
        messages = [record.getMessage() for record in caplog.records if record.name == "reasoning_grpc.server"]

    assert messages == ["starting", *LOADS, "serving"]


@pytest.mark.process
async def test_a_start_shows_that_the_embedded_model_starts(caplog: pytest.LogCaptureFixture) -> None:
    """The log also says when the embedded model starts, and when it answers."""
    caplog.set_level(logging.INFO, "reasoning_grpc")

    async with serving(config_for()):
        messages = [record.getMessage() for record in caplog.records]

    assert set(messages) >= {*LOADS, "starting the embedded model", "embedded model answers"}
    assert messages.index("starting the embedded model") < messages.index("embedded model answers")
    assert messages[-1] == "serving"


async def test_a_generator_that_is_dropped_is_closed(upstream: FakeUpstream) -> None:
    """A server that serves keeps no set of its generators, and one that nobody closes is closed all the same."""
    closed = asyncio.Event()

    async def count() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            closed.set()

    async with serving(config_for(model_entry(upstream.api_base))):
        assert sys.get_asyncgen_hooks().firstiter is None
        numbers = count()
        await anext(numbers)
        del numbers
        await asyncio.wait_for(closed.wait(), 5)


async def test_a_server_without_threads_for_its_tools_does_not_start() -> None:
    """A server whose tools need more threads than the system starts fails to start, and says how many they need."""
    server = Server(config_for(model_entry("http://127.0.0.1:0/v1")))
    usual = threading.stack_size(2**46)  # more memory than a process can have
    try:
        with pytest.raises(StartError, match="the tools need 16 threads, and the system starts only 0"):
            await server.try_models()
    finally:
        threading.stack_size(usual)
