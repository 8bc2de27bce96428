"""What a kubelet does with a container whose server serves, and has trouble: only a hang makes it restart one."""

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import grpc
import pytest
import trustme

from reasoning_grpc.server.server import LIVENESS, READINESS
from tests.support.factories import a_wire_request
from tests.support.kubelet import SOON_SECONDS, Action, Answer, Kubelet
from tests.support.server_process import ServerFolder
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure
from tests.support.workers import RunningWorkers, create_folder, serving_workers

pytestmark = [pytest.mark.probes, pytest.mark.process]

NAMES: Final = ("", "reasoning_grpc.v1.ReasoningService", READINESS, LIVENESS)


async def find_started(running: RunningWorkers) -> Kubelet:
    """Returns a kubelet that sends calls to the container of this server."""
    kubelet = Kubelet(running.health_address())
    await kubelet.wait_for(Action.SEND_CALLS)
    return kubelet


def write_mistake(folder: ServerFolder) -> None:
    """Writes a configuration that the server refuses."""
    Path(folder.config).write_text("max_retries = -1")


async def test_an_overloaded_server_keeps_its_calls(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server that refuses calls because it is full stays ready: without it the others would get its calls as well."""
    bounds = {"max_calls_in_flight": "1", "max_queued_calls": "0"}
    async with (
        serving_workers(create_folder(tmp_path, upstream), "1", **bounds) as running,
        running.client(retries=False) as client,
    ):
        kubelet = await find_started(running)
        gate = upstream.gated("Hel", "lo")
        held = asyncio.create_task(client.complete(a_wire_request()))
        await upstream.request()

        refusals = [await expect_failure(client.stub.Complete(a_wire_request())) for _ in range(10)]
        action = await kubelet.decide()
        answers = [await kubelet.probe(name) for name in NAMES]
        gate.open_all()
        answer = await held

    assert {(each.code, each.reason) for each in refusals} == {(grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")}
    assert action is Action.SEND_CALLS
    assert answers == [Answer.SERVING] * len(NAMES)
    assert answer.message.content[0].text == "Hello"


async def test_a_dead_upstream_takes_no_server_away(upstream: FakeUpstream, tmp_path: Path) -> None:
    """While each call fails because the upstream is down, the container stays ready: another one could do no better."""
    options = {"max_retries": "0", "breaker_min_calls": "5"}
    async with (
        serving_workers(create_folder(tmp_path, upstream), "1", **options) as running,
        running.client(retries=False) as client,
    ):
        kubelet = await find_started(running)
        upstream.close_on_accept()

        failures = [await expect_failure(client.stub.Complete(a_wire_request())) for _ in range(20)]
        action = await kubelet.decide()
        answers = [await kubelet.probe(name) for name in NAMES]

    assert {each.reason for each in failures} == {"UPSTREAM_UNREACHABLE"}
    assert running.lines("breaker")[-1]["state"] == "OPEN"
    assert action is Action.SEND_CALLS
    assert answers == [Answer.SERVING] * len(NAMES)


async def test_a_reload_that_fails_changes_nothing(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A server whose new configuration has a mistake keeps the old one, and its calls."""
    folder = create_folder(tmp_path, upstream)
    async with serving_workers(folder, "1") as running, running.client(retries=False) as client:
        kubelet = await find_started(running)
        write_mistake(folder)
        running.server.process.send_signal(signal.SIGHUP)
        await running.wait_for_workers(lambda _: bool(running.lines("reload changed nothing")))

        action = await kubelet.decide()
        answer = await client.complete(a_wire_request())

    assert action is Action.SEND_CALLS
    assert answer.message.content


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_hung_process_is_restarted(upstream: FakeUpstream, tmp_path: Path, workers: str) -> None:
    """A process whose loop no longer turns fails the liveness probe until it goes on, also beside one that serves."""
    async with serving_workers(create_folder(tmp_path, upstream), workers) as running:
        kubelet = await find_started(running)
        hung = (await running.describe())[0]["process_id"]

        os.kill(hung, signal.SIGSTOP)
        with ExitStack() as stack:
            stack.callback(os.kill, hung, signal.SIGCONT)
            await kubelet.wait_for(Action.RESTART)
            answers = [await kubelet.probe(LIVENESS), await kubelet.probe(READINESS)]

        await kubelet.wait_for_recovery()

    assert answers == [Answer.NOT_SERVING, Answer.NOT_SERVING if workers == "1" else Answer.SERVING]


async def test_a_frozen_container_is_restarted(upstream: FakeUpstream, tmp_path: Path) -> None:
    """When no process of the server runs, nobody answers a probe in time, on either port."""
    async with serving_workers(create_folder(tmp_path, upstream), "1") as running:
        kubelet = Kubelet(running.health_address(), timeout_seconds=SOON_SECONDS)
        await kubelet.wait_for(Action.SEND_CALLS)
        main_port = Kubelet(running.address, timeout_seconds=SOON_SECONDS)
        group = running.server.process.pid

        os.killpg(group, signal.SIGSTOP)
        with ExitStack() as stack:
            stack.callback(os.killpg, group, signal.SIGCONT)
            action = await kubelet.decide()
            answers = [await kubelet.probe(LIVENESS), await main_port.probe(LIVENESS)]

        await kubelet.wait_for_recovery()

    assert action is Action.RESTART
    assert answers == [Answer.NOT_CONNECTED] * 2


async def test_a_kubelet_needs_the_health_port_beside_tls(upstream: FakeUpstream, tmp_path: Path) -> None:
    """A probe without TLS fails on the main port of a server with TLS, and succeeds on its health port."""
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    tls = {"tls_certificate": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    async with serving_workers(create_folder(tmp_path, upstream), "1", **tls) as running:
        kubelet = await find_started(running)
        main_port = Kubelet(running.address, timeout_seconds=SOON_SECONDS)

        answers = [await main_port.probe(READINESS), await kubelet.probe(READINESS), await kubelet.probe("ready")]

    assert answers == [Answer.NOT_CONNECTED, Answer.SERVING, Answer.CALL_FAILED]
