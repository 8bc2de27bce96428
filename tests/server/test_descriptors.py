"""The limit of open files bounds the connections to upstreams, and a shortage is never the upstream's fault."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from reasoning_grpc.client import CallFailed, ReasoningClient, text_request
from reasoning_grpc.server.descriptors import bound_connections
from tests.support.commands import start_after
from tests.support.server_process import TOKEN, ServerFolder
from tests.support.upstream import FakeUpstream

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


async def complete(client: ReasoningClient) -> str:
    """Makes a call, and returns OK or the reason of its failure."""
    try:
        await client.complete(text_request("hi"))
    except CallFailed as failure:
        return failure.reason
    return "OK"
