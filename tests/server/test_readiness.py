"""Readiness of a server process: it never precedes what can be answered."""

import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.server.interpreter import collecting_no_garbage
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.commands import build_environment
from tests.support.factories import a_wire_request
from tests.support.health import SERVING, wait_for_status
from tests.support.ports import find_port
from tests.support.server_process import ServerFolder, watching_readiness
from tests.support.upstream import DEFAULT_PIECES, FakeUpstream

ROOT: Final = Path(__file__).parents[2]


@pytest.mark.process
async def test_a_call_at_the_moment_of_readiness_is_answered(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A client that calls as soon as the health turns SERVING is answered, and nothing is loaded for it any more."""
    (tmp_path / "reasoning.toml").write_text(f"""
        default_model = "fake"
        [models.fake]
        litellm_model = "groq/fake-upstream"
        api_base = "{upstream.api_base}"
    """)
    address = f"127.0.0.1:{find_port()}"
    folder = ServerFolder(tmp_path, upstream)
    async with (
        folder.starting(address) as (_, log),
        watching_readiness(address) as watch,
        grpc.aio.insecure_channel(address) as channel,
    ):
        stub: Any = ReasoningServiceStub(channel)
        await wait_for_status(watch, SERVING)
        messages_at_readiness = log.read_text()

        response = await stub.Complete(a_wire_request())

    assert "".join(part.text for part in response.message.content) == "".join(DEFAULT_PIECES)
    assert "litellm is loaded" in messages_at_readiness
    assert len(upstream.requests) == 1


@pytest.mark.process
def test_a_call_before_readiness_waits_and_stops_nothing() -> None:
    """A call that comes while litellm is loaded waits for it; the server answers checks of its health meanwhile."""
    command = [sys.executable, "-m", "tests.support.early_call"]
    ran = subprocess.run(command, check=True, timeout=200, cwd=ROOT, env=build_environment({}), stdout=subprocess.PIPE)

    assert json.loads(ran.stdout) == {"is_alive": True, "has_waited": True, "answer": "".join(DEFAULT_PIECES)}


def test_the_objects_of_the_start_are_never_collected_again() -> None:
    """While litellm is loaded, no garbage is collected; what exists then is left out of every later collection."""
    before = gc.get_freeze_count()

    with collecting_no_garbage():
        assert not gc.isenabled()
        stays = [[] for _ in range(10)]  # type: list[list[int]]

    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(stays)
    assert not any(each is stays for each in gc.get_objects())


def test_garbage_is_collected_after_a_start_that_failed() -> None:
    """A start that fails leaves the collection of garbage on."""
    with pytest.raises(OSError, match="no"), collecting_no_garbage():
        raise OSError("no")

    assert gc.isenabled()
