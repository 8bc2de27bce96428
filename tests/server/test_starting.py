"""What the log says while a server starts: a slow machine takes long for it."""

import logging
from typing import Final

import pytest

from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

LOADS: Final = ["loading litellm", "litellm is loaded"]


async def test_a_start_shows_its_progress(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """The log says when litellm is being loaded, when it is loaded, and when the server serves."""
    caplog.set_level(logging.INFO, "reasoning_grpc.server")

    async with serving(config_for(model_entry(upstream.api_base))):
        messages = [record.getMessage() for record in caplog.records if record.name == "reasoning_grpc.server"]

    assert messages == [*LOADS, "serving"]


@pytest.mark.process
async def test_a_start_shows_that_the_embedded_model_starts(caplog: pytest.LogCaptureFixture) -> None:
    """The log also says when the embedded model starts, and when it answers."""
    caplog.set_level(logging.INFO, "reasoning_grpc")

    async with serving(config_for()):
        messages = [record.getMessage() for record in caplog.records]

    assert set(messages) >= {*LOADS, "starting the embedded model", "embedded model answers"}
    assert messages.index("starting the embedded model") < messages.index("embedded model answers")
    assert messages[-1] == "serving"
