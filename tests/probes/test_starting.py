"""What a kubelet does with a container whose server starts: it sends no calls, and restarts nothing."""

import asyncio
import json
from pathlib import Path

import pytest

from reasoning_grpc.server.admin.workers import HUNG_SECONDS
from reasoning_grpc.server.server import LIVENESS, READINESS
from tests.support.held_imports import LITELLM_MODULE, HeldImport
from tests.support.kubelet import SOON_SECONDS, Action, Answer, Kubelet
from tests.support.mcp_server import Reports, build_command, open_reports
from tests.support.ports import find_port
from tests.support.server_process import ServerFolder
from tests.support.upstream import FakeUpstream
from tests.support.workers import create_folder

pytestmark = [pytest.mark.probes, pytest.mark.process]


def require_held_server(folder: ServerFolder, reports: Reports) -> None:
    """Adds a required MCP server to a configuration, which begins to answer only when the test says so."""
    command, *arguments = build_command("stdio", reports, "--held")
    with Path(folder.config).open("a") as config:
        config.write(f"""
            [mcp_servers.held]
            command = "{command}"
            args = {json.dumps(arguments)}
            required = true
        """)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_long_start_is_no_hang(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """However long a server takes to load what it needs, it is alive and not ready, and gets calls when it is warm."""
    loading = HeldImport.create(tmp_path, LITELLM_MODULE)
    loading.hold()
    health = f"127.0.0.1:{find_port()}"
    folder = create_folder(tmp_path, upstream, workers=workers, health_listen=health)
    kubelet = Kubelet(health)
    before = await Kubelet(health, timeout_seconds=SOON_SECONDS).decide()

    async with loading.apply(folder).starting():
        at_first = [await kubelet.probe(name) for name in (LIVENESS, READINESS)]
        await asyncio.sleep(HUNG_SECONDS + 1)
        later = await kubelet.decide()
        loading.release()

        await kubelet.wait_for(Action.SEND_CALLS)

    assert before is Action.WAIT
    assert at_first == [Answer.SERVING, Answer.NOT_SERVING]
    assert later is Action.SEND_NO_CALLS


async def test_a_server_waits_for_what_it_requires(upstream: FakeUpstream, tmp_path: Path) -> None:
    """While a required MCP server does not answer, the container gets no calls and is not restarted."""
    health = f"127.0.0.1:{find_port()}"
    kubelet = Kubelet(health)
    async with open_reports() as reports:
        folder = create_folder(tmp_path, upstream, health_listen=health)
        require_held_server(folder, reports)

        async with folder.starting():
            await reports.wait_for("pid")
            await kubelet.wait_for(Action.SEND_NO_CALLS)
            waiting = [await kubelet.probe(name) for name in (LIVENESS, READINESS)]
            reports.release()

            await kubelet.wait_for(Action.SEND_CALLS)
        await reports.wait_until_closed()

    assert waiting == [Answer.SERVING, Answer.NOT_SERVING]


async def test_a_container_that_cannot_start_never_gets_calls(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server whose configuration is wrong ends before its health port opens, so a kubelet starts it again."""
    health = f"127.0.0.1:{find_port()}"
    folder = create_folder(tmp_path, upstream, health_listen=health, max_messages="0")

    async with folder.starting() as (process, log):
        await process.wait()
        kubelet = Kubelet(health, timeout_seconds=SOON_SECONDS)
        action, answer = await kubelet.decide(), await kubelet.probe(LIVENESS)

    assert (action, answer) == (Action.WAIT, Answer.NOT_CONNECTED)
    assert process.returncode == 1
    assert "REASONING_MAX_MESSAGES: must be at least 1" in log.read_text()
