"""A server process with the command and the environment of the rendered pod does what Kubernetes relies on."""

import asyncio
import os
import re
import signal
import sys
import urllib.request
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.chart import Tree, find_container, find_pod, read_environment, render
from tests.support.commands import PATIENCE_SECONDS, running_process
from tests.support.factories import a_wire_request
from tests.support.health import NOT_SERVING, SERVING, check_health, next_status, wait_for_status, watch_health
from tests.support.ports import find_port
from tests.support.server_process import wait_for_end

pytestmark = [pytest.mark.helm, pytest.mark.process]

PORTS: Final = {"grpc": 50051, "health": 50052, "metrics": 9464}
ADDRESS: Final = "127.0.0.1"


@dataclass(frozen=True)
class Pod:
    """A process that runs as the server's container of the chart does, but for its ports."""

    process: asyncio.subprocess.Process
    container: Tree
    ports: dict[int, int]
    """The port of this process for each port of the container."""

    def find_address(self, port: int) -> str:
        """Returns where a port of the container is found."""
        return f"{ADDRESS}:{self.ports[port]}"

    def name_probes(self) -> dict[str, tuple[str, str]]:
        """Returns the address and the name of the service for each probe of the container."""
        probes = {name: self.container[name]["grpc"] for name in self.container if name.endswith("Probe")}
        return {name: (self.find_address(probe["port"]), probe["service"]) for name, probe in probes.items()}


@asynccontextmanager
async def running_pod(objects: dict[str, Tree], folder: Path) -> AsyncIterator[Pod]:
    """Starts the process of the container in a folder that has its ConfigMap."""
    container = find_container(objects)
    ports = {port: find_port() for port in PORTS.values()}
    (folder / "reasoning.toml").write_text(objects["ConfigMap reasoning-grpc"]["data"]["reasoning.toml"])
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for name, value in read_environment(container).items():
        placed = value.replace("10.1.2.3", ADDRESS).replace("/etc/reasoning-grpc/config", str(folder))
        environment[name] = re.sub(r"(?<=:)\d+$", lambda match: str(ports[int(match[0])]), placed)
    async with running_process(
        program=container["command"], variables=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    ) as process:
        yield Pod(process, container, ports)


async def test_the_pod_of_the_defaults_starts_serves_and_stops(tmp_path: Path) -> None:
    """Its probes succeed on the ports and names of the chart, it answers and is scraped, and drains at SIGTERM."""
    objects = render({"drain": {"delaySeconds": 1, "graceSeconds": 60}})
    async with running_pod(objects, tmp_path) as pod:
        probes = pod.name_probes()
        address, service = probes["readinessProbe"]
        async with grpc.aio.insecure_channel(address) as health:
            watch = watch_health(health, service)
            await wait_for_status(watch, SERVING)
            for address, service in probes.values():
                async with grpc.aio.insecure_channel(address) as probed:
                    assert await check_health(probed, service) == SERVING

            async with grpc.aio.insecure_channel(pod.find_address(PORTS["grpc"])) as channel:
                stub: Any = ReasoningServiceStub(channel)
                answer = await stub.Complete(a_wire_request(), wait_for_ready=True, timeout=PATIENCE_SECONDS)
            page = f"http://{pod.find_address(PORTS['metrics'])}/metrics"
            metrics = await asyncio.to_thread(lambda: urllib.request.urlopen(page).read().decode())
            pod.process.send_signal(signal.SIGTERM)
            drained = await next_status(watch)

        assert answer.model == "smollm2-135m-instruct"
        assert "reasoning_grpc_calls_in_flight" in metrics
        assert drained == NOT_SERVING
        async with asyncio.timeout(find_pod(objects)["terminationGracePeriodSeconds"]):
            assert await wait_for_end(pod.process) == 0
