"""The admin ports answer for all workers, also when the main port cannot."""

import asyncio
import json
import os
import platform
import signal
from importlib.metadata import version
from pathlib import Path

import pytest
import trustme

from tests.support.commands import PATIENCE_SECONDS, run
from tests.support.health import NOT_SERVING, SERVICE_UNKNOWN, SERVING, next_status, wait_for_status
from tests.support.ports import find_port
from tests.support.upstream import FakeUpstream
from tests.support.workers import (
    POLL_SECONDS,
    are_serving,
    create_folder,
    list_children,
    serving_workers,
    wait_until_closed,
)

pytestmark = [pytest.mark.process, pytest.mark.serial]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_pages_describe_all_workers(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """With and without workers the pages say that the server is alive and ready, its version, and its metrics."""
    async with serving_workers(create_folder(tmp_path, upstream), workers) as running:
        alive, ready, versions, metrics = [
            await running.fetch(page) for page in ("/healthz", "/readyz", "/version", "/metrics")
        ]

        assert (alive[0], json.loads(alive[1])["status"]) == (200, "alive")
        assert (ready[0], json.loads(ready[1])["status"]) == (200, "ready")
        assert [worker["state"] for worker in json.loads(ready[1])["workers"]] == ["serving"] * int(workers)
        assert json.loads(versions[1]) == {"version": version("reasoning-grpc"), "python": platform.python_version()}
        assert metrics[0] == 200
        assert f'\nreasoning_grpc_workers{{reasoning_grpc_worker_state="serving"}} {workers}.0\n' in metrics[1]
        assert (await running.fetch("/secrets"))[0] == 404


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_worker_whose_loop_hangs_is_not_alive(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """A process that is stopped reports nothing: liveness fails until it goes on, and the page names the worker."""
    async with (
        serving_workers(create_folder(tmp_path, upstream), workers) as running,
        running.watching_health("liveness") as watch,
    ):
        await wait_for_status(watch, SERVING)
        hung = (await running.describe())[0]["process_id"]

        os.kill(hung, signal.SIGSTOP)
        try:
            await wait_for_status(watch, NOT_SERVING)
            status, text = await running.fetch("/healthz")
            is_ready, _ = await running.fetch("/readyz")
        finally:
            os.kill(hung, signal.SIGCONT)

        assert (status, json.loads(text)["status"]) == (503, "hung")
        assert [worker["state"] for worker in json.loads(text)["workers"]] == ["hung", "serving"][: int(workers)]
        assert is_ready == (503 if workers == "1" else 200)
        await wait_for_status(watch, SERVING)
        await running.wait_for_workers(are_serving(int(workers)))


async def test_the_ports_answer_beside_mutual_tls(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Probes and scrapes need no certificate, although the main port asks for one."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    tls = {
        "tls_certificate": str(tmp_path / "cert.pem"),
        "tls_key": str(tmp_path / "key.pem"),
        "tls_client_ca": str(tmp_path / "ca.pem"),
    }

    async with serving_workers(create_folder(tmp_path, upstream), "2", **tls) as running:
        for name in ("", "reasoning_grpc.v1.ReasoningService", "readiness", "liveness"):
            async with running.watching_health(name) as watch:
                await wait_for_status(watch, SERVING)
        async with running.watching_health("unknown") as watch:
            assert await next_status(watch) == SERVICE_UNKNOWN
        assert (await running.fetch("/readyz"))[0] == 200


async def test_the_ports_answer_before_a_server_is_ready(upstream: FakeUpstream, tmp_path: Path) -> None:
    """While the server starts it is alive, and not ready; no worker takes connections before it is warm."""
    async with serving_workers(create_folder(tmp_path, upstream)) as running:
        lines = running.server.lines()
        messages = [line["message"] for line in lines]

        # The ports were open before any worker served: a probe got its answer from then on.
        assert messages.index("admin ports are open") < messages.index("serving")
        loaded = [index for index, message in enumerate(messages) if message == "litellm is loaded"]
        assert len(loaded) == 2
        assert messages.index("serving") > max(loaded)


async def test_the_child_is_replaced_and_keeps_its_ports(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A child that is killed is started again on the same ports, and knows the workers."""
    ports = {"admin_listen": str(find_port()), "health_listen": str(find_port())}
    async with serving_workers(create_folder(tmp_path, upstream), **ports) as running:
        address = running.admin_address()
        (opened,) = running.lines("admin ports are open")

        os.kill(opened["child_process_id"], signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(running.lines("admin ports are open")) == 1:  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(POLL_SECONDS)

        assert running.admin_address() == address
        await running.wait_for_workers(are_serving(2))
        assert running.lines("the process of the admin ports died")[0]["exit_code"] == -signal.SIGKILL


async def test_the_child_ends_with_the_server(upstream: FakeUpstream, tmp_path: Path) -> None:
    """When a server without workers is killed, its admin ports close."""
    async with serving_workers(create_folder(tmp_path, upstream), "1") as running:
        address = running.admin_address()
        running.server.process.kill()

        await wait_until_closed(address)


@pytest.mark.parametrize("option", ["admin_listen", "health_listen"])
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_an_admin_port_in_use_is_a_start_error(
    upstream: FakeUpstream, tmp_path: Path, option: str, workers: str
) -> None:
    """A server does not start when another program has the port, and the sentence names the option."""
    folder = create_folder(tmp_path, upstream)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        finished = await run(
            *("serve", "--config", folder.config, "--listen", "127.0.0.1:0", "--log-format", "text"),
            variables={f"REASONING_{option.upper()}": str(port), "REASONING_WORKERS": workers},
        )

    assert (finished.code, finished.out) == (1, "")
    reason = "it is in use, or it is not an address of this machine"
    assert finished.err.splitlines()[-1] == (
        f"reasoning-grpc: {option}: 127.0.0.1:{port} cannot be listened on: {reason}"
    )


async def test_without_addresses_there_is_no_child(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server without workers and admin ports is one process."""
    async with create_folder(tmp_path, upstream).serving() as server:
        assert list_children(server.process.pid) == []
