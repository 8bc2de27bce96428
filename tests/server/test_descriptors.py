"""The limit of open files bounds the connections to upstreams, and a shortage is never the upstream's fault."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient, text_request
from reasoning_grpc.config import Config
from reasoning_grpc.server.descriptors import bound_connections
from reasoning_grpc.v1 import completion_pb2, events_pb2
from tests.support.agent import agent_config, reasoning_request, write_plan
from tests.support.commands import start_after
from tests.support.descriptors import without_descriptors
from tests.support.factories import a_wire_request
from tests.support.server_process import TOKEN, ServerFolder
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_to_end

OPEN_FILES = 128


@pytest.mark.parametrize(
    ("wanted", "descriptors", "expected"), [(1024, 1_048_576, 1024), (1024, 1024, 512), (1, 1, 1), (512, 1024, 512)]
)
def test_half_of_the_open_files_are_for_upstreams(wanted: int, descriptors: int, expected: int) -> None:
    """The other half is for the connections of callers, and for the process itself."""
    assert bound_connections(wanted, descriptors) == expected


@pytest.mark.process
async def test_few_open_files_slow_calls_down_but_fail_none(upstream: FakeUpstream, tmp_path: Path) -> None:
    """All of 300 calls at once end over the connections that are allowed; the log says why there are not more."""
    (tmp_path / "reasoning.toml").write_text(
        f'[models.fake]\nlitellm_model = "openai/fake"\napi_base = "{upstream.api_base}"\napi_key_env = "FAKE_KEY"\n'
    )
    folder = ServerFolder(tmp_path, upstream)
    async with (
        folder.serving(program=start_after(f"ulimit -n {OPEN_FILES}")) as server,
        ReasoningClient(server.address, token=TOKEN) as client,
    ):
        outcomes = Counter(await asyncio.gather(*(complete(client) for _ in range(300))))
        lines = server.lines()

    assert set(outcomes) <= {"OK", "SERVER_OVERLOADED"}
    assert outcomes["OK"] >= OPEN_FILES // 2
    (line,) = [line for line in lines if "open files" in line["message"]]
    assert (line["open_files"], line["connections"]) == (OPEN_FILES, OPEN_FILES // 2)


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
@pytest.mark.parametrize(
    ("configure", "write_request"),
    [
        pytest.param(lambda upstream: config_for(model_entry(upstream.api_base)), a_wire_request, id="passthrough"),
        pytest.param(agent_config, reasoning_request, id="agent"),
    ],
)
async def test_a_shortage_is_an_overload_of_the_server(
    upstream: FakeUpstream,
    method: str,
    configure: Callable[[FakeUpstream], Config],
    write_request: Callable[[], completion_pb2.CompleteRequest],
) -> None:
    """A call that needs a connection ends as SERVER_OVERLOADED, may be repeated, and succeeds after the shortage."""
    async with serving(configure(upstream)) as running:
        stub: Any = running.stub
        await running.client().list_models()  # opens the channel

        with without_descriptors():
            failure = await expect_failure(make_call(stub, method, write_request()))
        assert upstream.requests == []
        upstream.reply(write_plan())
        await make_call(stub, method, write_request())

    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    assert (failure.retry_after_seconds, failure.interruption) == (1.0, None)


async def make_call(stub: Any, method: str, request: completion_pb2.CompleteRequest) -> None:
    """Makes a call to its end."""
    if method == "Complete":
        await stub.Complete(request)
    else:
        await read_to_end(stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request)))


async def complete(client: ReasoningClient) -> str:
    """Makes a call, and returns OK or the reason of its failure."""
    try:
        await client.complete(text_request("hi"))
    except CallFailed as failure:
        return failure.reason
    return "OK"
