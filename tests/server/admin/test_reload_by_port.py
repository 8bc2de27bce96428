"""The admin port leads the command `reload` to the server, and shows what became of each reload."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import PATIENCE_SECONDS, Finished, run
from tests.support.metrics import MetricsPage
from tests.support.upstream import FakeUpstream
from tests.support.workers import POLL_SECONDS, RunningWorkers, create_folder, serving_workers

pytestmark = [pytest.mark.process, pytest.mark.serial]


async def reload(address: str) -> Finished:
    """Runs the command `reload` with the address of an admin port."""
    return await run("reload", "--admin-listen", address)


async def read_status(running: RunningWorkers) -> dict[str, Any]:
    """Returns what the body of /readyz says of the reloads."""
    status: dict[str, Any] = json.loads((await running.fetch("/readyz"))[1])["reload"]
    return status


async def wait_for_failures(running: RunningWorkers, failures: float) -> MetricsPage:
    """Waits until the metrics count so many failed reloads, and returns the page."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            page = MetricsPage((await running.fetch("/metrics"))[1])
            if page.find("reasoning_grpc_reloads_total", reasoning_grpc_reload_result="FAILED") == failures:
                return page
            await asyncio.sleep(POLL_SECONDS)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_command_finds_a_server_by_its_admin_port(
    upstream: FakeUpstream, tmp_path: Path, workers: str
) -> None:
    """A reload by the port takes effect, or reports its problems; page and metrics count both, and the last result."""
    folder, file = create_folder(tmp_path, upstream), tmp_path / "reasoning.toml"
    good = file.read_text()
    async with serving_workers(folder, workers) as running:
        before = await read_status(running)

        reloaded = await reload(running.admin_address())
        after = await read_status(running)
        file.write_text("max_retries = -1\n" + good)
        failed = await reload(running.admin_address().rpartition(":")[2])
        broken = await read_status(running)
        page = await wait_for_failures(running, 1)
        file.write_text(good)
        repaired = await reload(running.admin_address())

        problem = "max_retries: must be at least 0 and at most 10"
        assert (before["reloads"], before["last_time"]) == (0, None)
        assert (reloaded.code, reloaded.out) == (0, f"reloaded: configuration {before['fingerprint']}\n")
        assert (after["reloads"], after["failures"], after["succeeded"]) == (1, 0, True)
        assert failed.code == 1
        assert problem in failed.err
        assert (broken["reloads"], broken["failures"], broken["succeeded"]) == (1, 1, False)
        assert any(problem in each for each in broken["problems"])
        assert page.find("reasoning_grpc_reloads_total", reasoning_grpc_reload_result="SUCCEEDED") == 1
        assert page.find("reasoning_grpc_reload_failing") == 1
        assert page.find("reasoning_grpc_reload_time_seconds") == pytest.approx(broken["last_time"])
        assert repaired.code == 0


async def test_no_other_process_gets_the_signal() -> None:
    """A port that nobody has, one of another program, and one of a server elsewhere lead to no process."""

    async def answer(body: bytes, address: list[str]) -> Finished:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            address.append(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            return await reload(address[-1])

    addresses: list[str] = []
    elsewhere = await answer(json.dumps({"process": {"id": os.getpid(), "started": 1}}).encode(), addresses)
    unknown = await answer(json.dumps({"process": {"id": os.getpid(), "started": None}}).encode(), addresses)
    other = await answer(b'{"status": "fine"}', addresses)
    page = await answer(b"<html>", addresses)
    nobody = await reload(addresses[0])

    assert [each.code for each in (elsewhere, unknown, other, page, nobody)] == [1] * 5
    assert elsewhere.err == (
        f"reasoning-grpc: {addresses[0]}: is the port of a server on another machine or in a container\n"
    )
    assert unknown.err == (
        f"reasoning-grpc: {addresses[1]}: this system does not tell processes apart; give --pid-file\n"
    )
    assert other.err == f"reasoning-grpc: {addresses[2]}: is not the admin port of a server\n"
    assert page.err == f"reasoning-grpc: {addresses[3]}: no admin port of a server answers there\n"
    assert nobody.err == f"reasoning-grpc: {addresses[0]}: no admin port of a server answers there\n"
