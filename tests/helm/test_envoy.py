"""Envoy as an option of the chart: a real Envoy takes its configuration, serves with it, and drains."""

import asyncio
import contextlib
import re
import subprocess
import urllib.error
import urllib.request
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme
import yaml

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from scripts.check_envoy import CONFIG, ENVOY
from tests.support.chart import OPTIONS, find_container, find_pod, merge, render
from tests.support.factories import a_stream_request
from tests.support.ports import find_port
from tests.support.serving import serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import read_first_delta, read_to_end

pytestmark = [pytest.mark.helm]

DEPLOYMENT: Final = "Deployment reasoning-grpc-envoy"
CONFIG_MAP: Final = "ConfigMap reasoning-grpc-envoy"
NAMES: Final = ["Envoy", "Envoy with TLS"]


def write_files(folder: Path, name: str) -> Path:
    """Writes Envoy's files as they lie in a pod, with folders in place of the mounts; returns the configuration."""
    authority = trustme.CA()
    issued = authority.issue_cert("reasoning.example.com")
    folder.joinpath("tls").mkdir()
    authority.cert_pem.write_to_path(folder / "tls" / "ca.crt")
    issued.cert_chain_pems[0].write_to_path(folder / "tls" / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls" / "tls.key")
    for file, text in render(OPTIONS[name])[CONFIG_MAP]["data"].items():
        placed = text.replace("/etc/envoy-tls", str(folder / "tls")).replace("/etc/envoy/", f"{folder}/")
        folder.joinpath(file).write_text(placed)
    return folder / "envoy.yaml"


@pytest.mark.process
@pytest.mark.parametrize("name", NAMES)
def test_envoy_takes_the_configuration(name: str, tmp_path: Path) -> None:
    """Envoy itself validates what the chart makes, with and without TLS, and warns of nothing."""
    config = write_files(tmp_path, name)

    done = subprocess.run(
        [ENVOY, "--mode", "validate", "--log-level", "warning", "-c", config],
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


@contextlib.asynccontextmanager
async def running_envoy(config: Path) -> AsyncIterator[None]:
    """Runs Envoy on a configuration."""
    arguments = ["-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "error"]
    process = await asyncio.create_subprocess_exec(ENVOY, *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def read_status(address: str) -> int:
    """Returns the HTTP status of a page; 0 while nobody answers."""

    def read() -> int:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as response:
                return int(response.status)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code
        except (urllib.error.URLError, ConnectionError):
            return 0

    return await asyncio.to_thread(read)


async def wait_for_status(address: str, wanted: int) -> None:
    """Waits until a page has this status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await read_status(address) == wanted:
                return
            await asyncio.sleep(0.05)


async def start_drain(folder: Path, seconds: int, admin: int) -> Process:
    """Starts what the kubelet runs before it stops the pod."""
    return await asyncio.create_subprocess_exec("bash", str(folder / "drain.sh"), str(seconds), str(admin))


@pytest.mark.process
@pytest.mark.slow
async def test_envoy_finds_servers_by_name_and_drains(upstream: FakeUpstream, tmp_path: Path) -> None:
    """Envoy is ready when it has found a server, shows its metrics, and waits for its calls while it drains."""
    config = write_files(tmp_path, "Envoy")
    async with serving_upstream(upstream) as running:
        server = int(running.address.rpartition(":")[2])
        ports = {"50050": find_port(), "9901": find_port(), "9902": find_port(), "50051": server}
        text = config.read_text().replace("reasoning-grpc-headless.models.svc.cluster.local", "localhost")
        config.write_text(re.sub(r"(?<=port_value: )\d+", lambda match: str(ports[match[0]]), text))
        ready = f"http://127.0.0.1:{ports['9902']}/ready"
        async with running_envoy(config), grpc.aio.insecure_channel(f"127.0.0.1:{ports['50050']}") as channel:
            stub: Any = ReasoningServiceStub(channel)
            await wait_for_status(ready, 200)
            assert await read_status(f"http://127.0.0.1:{ports['9902']}/stats/prometheus") == 200
            assert await read_status(f"http://127.0.0.1:{ports['9902']}/quitquitquit") == 404
            gate = upstream.gated("a")
            gate.open()
            stream = stub.StreamComplete(a_stream_request(), wait_for_ready=True)
            await read_first_delta(stream)

            drain = await start_drain(tmp_path, 600, ports["9901"])
            await wait_for_status(ready, 503)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(drain.wait()), 8)
            gate.open_all()
            rest = await read_to_end(stream)

            assert rest[-1].WhichOneof("kind") == "completed"
            assert await asyncio.wait_for(drain.wait(), PATIENCE_SECONDS) == 0
