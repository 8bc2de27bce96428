"""Envoy as an option of the chart: a real Envoy takes its configuration, serves with it, and drains."""

import asyncio
import re
import subprocess
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import yaml

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from scripts.check_envoy import CONFIG, ENVOY
from tests.support.chart import OPTIONS, find_container, find_pod, merge, render
from tests.support.chart_envoy import read_status, running_envoy, wait_for_status, write_files
from tests.support.factories import a_stream_request
from tests.support.serving import serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import read_first_delta, read_to_end

pytestmark = [pytest.mark.helm]

DEPLOYMENT: Final = "Deployment reasoning-grpc-envoy"
CONFIG_MAP: Final = "ConfigMap reasoning-grpc-envoy"
NAMES: Final = ["Envoy", "Envoy with TLS"]


@pytest.mark.process
@pytest.mark.parametrize("name", NAMES)
def test_envoy_takes_the_configuration(name: str, tmp_path: Path) -> None:
    """Envoy itself validates what the chart makes, with and without TLS, and warns of nothing."""
    files = write_files(tmp_path, name)

    done = subprocess.run(
        [ENVOY, "--mode", "validate", "--log-level", "warning", "-c", files.config],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if re.search(r"\[(warning|error|critical)\]", line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_calls_are_balanced_as_in_the_shipped_configuration(name: str) -> None:
    """Routes, retries, health checks and ejection are those of deploy/envoy/envoy.yaml; the servers have a name."""
    shipped = yaml.safe_load(CONFIG.read_text())["static_resources"]
    made = yaml.safe_load(render(OPTIONS[name])[CONFIG_MAP]["data"]["envoy.yaml"])["static_resources"]
    [listener], [cluster] = shipped["listeners"], shipped["clusters"]
    changed = {"type", "load_assignment"}

    assert made["listeners"][0]["filter_chains"][0]["filters"] == listener["filter_chains"][0]["filters"]
    assert {key: made["clusters"][0][key] for key in cluster if key not in changed} == {
        key: value for key, value in cluster.items() if key not in changed
    }
    names = made["clusters"][0]["cluster_type"]["typed_config"]
    assert names["all_addresses_in_single_endpoint"] is False
    [endpoint] = made["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
    assert endpoint["endpoint"]["address"]["socket_address"] == {
        "address": "reasoning-grpc-headless.models.svc.cluster.local",
        "port_value": 50051,
    }


def test_no_word_is_left_to_replace() -> None:
    """The chart has put a value in place of each word between @."""
    for name in NAMES:
        for text in render(OPTIONS[name])[CONFIG_MAP]["data"].values():
            assert re.findall(r"@[a-z_]+@", text) == []


def test_envoy_refuses_calls_before_it_has_no_memory() -> None:
    """Its heap is bounded by three quarters of the memory that its container may take."""
    objects = render({"envoy": {"enabled": True, "memoryMiB": 2048}})
    config = yaml.safe_load(objects[CONFIG_MAP]["data"]["envoy.yaml"])
    monitor = config["overload_manager"]["resource_monitors"][0]

    assert find_container(objects, DEPLOYMENT)["resources"]["limits"]["memory"] == "2048Mi"
    assert monitor["typed_config"]["max_heap_size_bytes"] == str(2048 * 2**20 * 3 // 4)


def test_the_ports_of_envoy_are_those_of_its_container() -> None:
    """The container names the ports of the listeners; the admin page stays on loopback."""
    objects = render(OPTIONS["Envoy"])
    config = yaml.safe_load(objects[CONFIG_MAP]["data"]["envoy.yaml"])
    listeners = config["static_resources"]["listeners"]
    addresses = [listener["address"]["socket_address"] for listener in listeners]

    assert {address["address"] for address in addresses} == {"0.0.0.0"}
    assert [address["port_value"] for address in addresses] == [
        port["containerPort"] for port in find_container(objects, DEPLOYMENT)["ports"]
    ]
    assert config["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"


def test_kubernetes_waits_for_envoys_drain() -> None:
    """The hook that drains Envoy ends before the kubelet kills it, and a change of its files restarts the pods."""
    objects = render(merge(OPTIONS["Envoy"], {"envoy": {"drainSeconds": 300}}))
    others = render(merge(OPTIONS["Envoy"], {"envoy": {"memoryMiB": 1024}}))
    hook = find_container(objects, DEPLOYMENT)["lifecycle"]["preStop"]["exec"]["command"]

    assert hook == ["bash", "/etc/envoy/drain.sh", "300"]
    assert find_pod(objects, DEPLOYMENT)["terminationGracePeriodSeconds"] > 300
    checksums = {
        each[DEPLOYMENT]["spec"]["template"]["metadata"]["annotations"]["checksum/config"] for each in (objects, others)
    }
    assert len(checksums) == 2


async def start_drain(folder: Path, seconds: int, admin: int) -> Process:
    """Starts what the kubelet runs before it stops the pod."""
    return await asyncio.create_subprocess_exec("bash", str(folder / "drain.sh"), str(seconds), str(admin))


@pytest.mark.process
@pytest.mark.slow
async def test_envoy_finds_servers_by_name_and_drains(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Envoy is ready when it has found a server, shows its metrics, and waits for its calls while it drains."""
    files = write_files(tmp_path, "Envoy")
    async with serving_upstream(upstream) as running:
        ports = files.place(running.address)
        ready = f"http://127.0.0.1:{ports.status}/ready"
        async with running_envoy(files), grpc.aio.insecure_channel(f"127.0.0.1:{ports.calls}") as channel:
            stub: Any = ReasoningServiceStub(channel)
            await wait_for_status(ready, 200)
            assert await read_status(f"http://127.0.0.1:{ports.status}/stats/prometheus") == 200
            assert await read_status(f"http://127.0.0.1:{ports.status}/quitquitquit") == 404
            gate = upstream.gated("a")
            gate.open()
            stream = stub.StreamComplete(a_stream_request(), wait_for_ready=True)
            await read_first_delta(stream)

            drain = await start_drain(tmp_path, 600, ports.admin)
            await wait_for_status(ready, 503)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(drain.wait()), 8)
            gate.open_all()
            rest = await read_to_end(stream)

            assert rest[-1].WhichOneof("kind") == "completed"
            assert await asyncio.wait_for(drain.wait(), PATIENCE_SECONDS) == 0
