"""The keys of paused runs over a reload: a rotated key still opens, and one that was removed does not."""

from pathlib import Path
from typing import Any

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config, read_config
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import plan_call, write_plan
from tests.support.pausing import continue_request, encode_key, request_with_own_tools
from tests.support.serving import RunningServer, serving
from tests.support.upstream import FakeUpstream


def read_with_keys(folder: Path, upstream: FakeUpstream, *letters: str) -> Config:
    """Writes keys to their file, and reads the configuration as a reload does; without any it names no file."""
    (folder / "keys").write_text("\n".join(map(encode_key, letters)))
    file = folder / "reasoning.toml"
    keys = f'pause_keys_file = "{folder / "keys"}"' if letters else ""
    file.write_text(
        f"""
        listen = "127.0.0.1:0"
        {keys}
        [models.fake]
        litellm_model = "openai/fake"
        api_base = "{upstream.api_base}"
        """
    )
    return read_config(flags={}, environment={}, file=file)


async def switch(running: RunningServer, config: Config) -> None:
    """Lets another configuration take effect."""
    (await running.server.prepare(config)).switch()


async def pause(running: RunningServer, upstream: FakeUpstream) -> completion_pb2.CompleteRequest:
    """Lets a run pause, and returns the request that goes on with it."""
    upstream.reply(write_plan(plan_call("lookup", id="7")))
    request = request_with_own_tools()
    return continue_request(request, (await running.client().complete(request)).message, "Ada")


async def go_on(running: RunningServer, upstream: FakeUpstream, request: Any) -> str:
    """Goes on with a run, and returns its answer."""
    upstream.reply(write_plan())
    upstream.reply("Ada.")
    return (await running.client().complete(request)).message.content[0].text


async def test_a_rotated_key_goes_on(upstream: FakeUpstream, tmp_path: Path) -> None:
    """After a reload with a new first key, old and new states go on; without the old key, its states do not."""
    async with serving(read_with_keys(tmp_path, upstream, "a")) as running:
        old, later = await pause(running, upstream), await pause(running, upstream)
        await switch(running, read_with_keys(tmp_path, upstream, "b", "a"))
        new = await pause(running, upstream)
        answers = [await go_on(running, upstream, request) for request in (old, new)]
        await switch(running, read_with_keys(tmp_path, upstream, "b"))
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(later)

    assert answers == ["Ada.", "Ada."]
    assert failed.value.reason == "INVALID_FIELD"


async def test_a_first_key_cuts_no_run(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A run that paused before a reload brought the first keys goes on with the key of the process."""
    async with serving(read_with_keys(tmp_path, upstream)) as running:
        request = await pause(running, upstream)
        await switch(running, read_with_keys(tmp_path, upstream, "a"))
        answer = await go_on(running, upstream, request)

    assert answer == "Ada."


async def test_used_states_and_the_own_key_outlive_a_reload(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Without configured keys, a reload keeps the key of the process, and what has gone on."""
    async with serving(read_with_keys(tmp_path, upstream)) as running:
        used, unused = await pause(running, upstream), await pause(running, upstream)
        await go_on(running, upstream, used)
        await switch(running, read_with_keys(tmp_path, upstream))
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(used)
        answer = await go_on(running, upstream, unused)

    assert answer == "Ada."
    assert "has gone on already" in failed.value.message
