"""Runs Envoy with a configuration of `deploy/envoy`, at other addresses, and reads what it counts."""

import asyncio
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import grpc
import yaml

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from scripts.check_envoy import ENVOY
from scripts.pages import ROOT
from tests.support.ports import find_port
from tests.support.upstream import PATIENCE_SECONDS

FOLDER: Final = ROOT / "deploy" / "envoy"
CLUSTER: Final = "reasoning"
CLUSTER_PREFIX: Final = f"cluster.{CLUSTER}."
_SHORT_BACKOFFS: Final = tuple((f"grpc.{name}_reconnect_backoff_ms", 100) for name in ("initial", "min", "max"))
_CHANNEL_OPTIONS: Final = (("grpc.enable_retries", 0), *_SHORT_BACKOFFS)
"""A client without retries of its own, which finds an Envoy soon after it listens."""

Settings = dict[str, Any]
"""A configuration of Envoy, or a part of one."""
Change = Callable[[Settings], None]
"""Changes a configuration in place."""


@dataclass(frozen=True)
class Envoy:
    """An Envoy that serves."""

    process: Process
    address: str
    """Where it listens for calls, as HOST:PORT."""
    admin: str
    """The URL of its admin port."""
    channel: grpc.aio.Channel
    session: aiohttp.ClientSession
    """A client of HTTP."""

    @property
    def stub(self) -> Any:
        """Returns a stub of the service behind Envoy, without retries of its own."""
        return ReasoningServiceStub(self.channel)

    @property
    def url(self) -> str:
        """The URL of the service's methods."""
        return f"http://{self.address}/reasoning_grpc.v1.ReasoningService/"

    async def read_counts(self, prefix: str = CLUSTER_PREFIX) -> Mapping[str, int]:
        """Returns Envoy's counters and gauges whose names begin with this prefix, without it."""
        return await read_counts(self.session, self.admin, prefix)

    async def find_server_with_call(self) -> str:
        """Returns the address of the one server that has a call in flight."""
        async with self.session.get(f"{self.admin}/clusters") as response:
            lines = (await response.text()).splitlines()
        facts = [line.removeprefix(f"{CLUSTER}::").split("::") for line in lines]
        (address,) = (fact[0] for fact in facts if fact[1:2] == ["rq_active"] and fact[2] != "0")
        return address

    async def wait_for_count(self, name: str, predicate: Callable[[int], bool]) -> int:
        """Waits until this counter or gauge of the cluster satisfies the predicate, and returns it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not predicate(count := (await self.read_counts()).get(name, 0)):
                pass
        return count

    async def wait_for_servers(self, count: int) -> None:
        """Waits until Envoy sends calls to exactly this many servers."""
        await self.wait_for_count("membership_healthy", lambda healthy: healthy == count)


async def read_counts(session: aiohttp.ClientSession, admin: str, prefix: str = CLUSTER_PREFIX) -> Mapping[str, int]:
    """Returns the counters and gauges of an admin port whose names begin with this prefix, without it."""
    async with session.get(f"{admin}/stats", params={"type": "All"}) as response:
        lines = (await response.text()).splitlines()
    pairs = (line.partition(": ")[::2] for line in lines if line.startswith(prefix))
    return {name.removeprefix(prefix): int(value) for name, value in pairs if value.isdecimal()}


def read_settings(name: str) -> Settings:
    """Returns the configuration in this file of `deploy/envoy`."""
    settings = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(settings, dict)
    return settings


def find_listener(settings: Settings) -> Settings:
    """Returns the one listener of a configuration."""
    (listener,) = settings["static_resources"]["listeners"]
    assert isinstance(listener, dict)
    return listener


def find_manager(settings: Settings) -> Settings:
    """Returns the settings of the listener's connections: the HTTP connection manager."""
    (chain,) = find_listener(settings)["filter_chains"]
    (manager,) = chain["filters"]
    found: Settings = manager["typed_config"]
    return found


def find_cluster(settings: Settings) -> Settings:
    """Returns the settings of the servers."""
    (cluster,) = settings["static_resources"]["clusters"]
    found: Settings = cluster
    return found


def find_filter(settings: Settings, name: str) -> Settings:
    """Returns the settings of the HTTP filter with this name."""
    (found,) = (each["typed_config"] for each in find_manager(settings)["http_filters"] if each["name"] == name)
    assert isinstance(found, dict)
    return found


def list_routes(settings: Settings) -> list[Settings]:
    """Returns the routes in their order."""
    (host,) = find_manager(settings)["route_config"]["virtual_hosts"]
    found: list[Settings] = host["routes"]
    return found


def list_retry_policies(settings: Settings) -> list[Settings]:
    """Returns the retry policies of all routes that have one."""
    actions = [route.get("route", {}) for route in list_routes(settings)]
    return [action["retry_policy"] for action in actions if "retry_policy" in action]


def _connect(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """Returns a channel to Envoy."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=_CHANNEL_OPTIONS)


def _address(port: int) -> Settings:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@asynccontextmanager
async def running_envoy(
    folder: Path,
    servers: Iterable[str],
    *,
    name: str = "envoy.yaml",
    change: Change | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    healthy: int | None = None,
) -> AsyncIterator[Envoy]:
    """Runs Envoy in front of these servers, and waits until it has found all of them healthy, or as many as `healthy`.

    `change` changes the configuration beyond its addresses, and `credentials` are those of its client where it uses
    TLS. The files of this Envoy are kept in the folder.
    """
    settings, listen, admin = read_settings(name), find_port(), find_port()
    settings["admin"]["address"] = _address(admin)
    find_listener(settings)["address"] = _address(listen)
    ports = [int(server.rpartition(":")[2]) for server in servers]
    find_cluster(settings)["load_assignment"]["endpoints"] = [
        {"lb_endpoints": [{"endpoint": {"address": _address(port)}} for port in ports]}
    ]
    if change is not None:
        change(settings)
    file, log = folder / f"{listen}-{name}", folder / f"{listen}.log"
    file.write_text(yaml.safe_dump(settings))
    async with AsyncExitStack() as stack:
        process = await stack.enter_async_context(running_process(file, log))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        address = f"127.0.0.1:{listen}"
        channel = await stack.enter_async_context(_connect(address, credentials))
        envoy = Envoy(process, address, f"http://127.0.0.1:{admin}", channel, session)
        await _wait_until_it_listens(envoy)
        await envoy.wait_for_servers(len(ports) if healthy is None else healthy)
        yield envoy


@asynccontextmanager
async def running_process(file: Path, log: Path) -> AsyncIterator[Process]:
    """Runs Envoy with the configuration in this file, beside other Envoys, and yields the process at its start."""
    options = ["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning", "--log-path", str(log)]
    process = await asyncio.create_subprocess_exec(
        ENVOY, "-c", file, *options, cwd=ROOT, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _wait_until_it_listens(envoy: Envoy) -> None:
    """Waits until the process accepts connections. Fails when it ends before: its log is in the folder of the test."""
    ended, listens = asyncio.ensure_future(envoy.process.wait()), asyncio.ensure_future(envoy.channel.channel_ready())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait({ended, listens}, return_when=asyncio.FIRST_COMPLETED)
        assert not ended.done(), f"Envoy has ended with {envoy.process.returncode}"
    finally:
        ended.cancel()
        listens.cancel()
