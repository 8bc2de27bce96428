"""`run_fleet`: three replicas, each with an upstream of its own, and Envoy in front of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.process import Process
from bench.replicas.call_log import CallLog
from bench.replicas.network import Network
from bench.restart.envoy import list_arguments, write_config
from bench.restart.load import Load
from bench.restart.servers import Server
from bench.restart.servers import write_config as write_server_config
from bench.services import find_free_port
from bench.upstream import start_mock

ENVOY: Final = Path(__file__).parents[2] / ".tools" / "envoy" / "bin" / "envoy"
UNARY_MODEL, SHORT_STREAM, LONG_STREAM = "mock-10-50", "mock-20-100", "mock-150-100"
"""The models of unary calls, which take half a second, of streams of two seconds, and of fifteen."""
_REPLICAS: Final = 3
_PATIENCE_SECONDS: Final = 90.0
_POLL_SECONDS: Final = 0.25
_UNHEALTHY: Final = ("failed_active_health_check", "failed_outlier_check", "pending_active_hc")


@dataclass
class Replica:
    """One of the replicas."""

    server: Server
    log: CallLog

    @property
    def number(self) -> int:
        """Its place in the fleet, from 0."""
        return self.server.number


@dataclass
class Fleet:
    """The replicas that have been started, and the ways to them."""

    network: Network
    replicas: Sequence[Replica]
    envoy_target: str
    _envoy_admin: int

    @property
    def target(self) -> str:
        """The addresses of all replicas, for a client that balances by itself."""
        return "ipv4:" + ",".join(replica.server.target for replica in self.replicas)

    async def wait_for_envoy(self) -> None:
        """Returns when Envoy sends calls to every replica."""
        async with asyncio.timeout(_PATIENCE_SECONDS), aiohttp.ClientSession() as session:
            while not await self._is_balanced(session):  # noqa: ASYNC110 - Envoy is another process
                await asyncio.sleep(_POLL_SECONDS)

    async def _is_balanced(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://127.0.0.1:{self._envoy_admin}/clusters?format=json") as response:
                clusters: dict[str, Any] = await response.json(content_type=None)
        except aiohttp.ClientConnectionError:  # it still starts
            return False
        hosts = [host for cluster in clusters["cluster_statuses"] for host in cluster.get("host_statuses", ())]
        states = [host["health_status"] for host in hosts]
        return len(states) == len(self.replicas) and not any(state.get(name) for state in states for name in _UNHEALTHY)


@asynccontextmanager
async def run_fleet(network: Network, mock: Path, folder: Path) -> AsyncIterator[Fleet]:
    """Starts three replicas and Envoy, and ends them."""
    with _create_servers(network, mock, folder) as servers:
        try:
            await asyncio.gather(*(server.start() for server in servers))
            with _run_envoy(folder, servers) as (listener, admin):
                replicas = [Replica(server, CallLog(server)) for server in servers]
                yield Fleet(network, replicas, f"127.0.0.1:{listener}", admin)
        finally:
            for server in servers:
                if server.process is not None and server.process.is_running:
                    await server.kill()


async def wait_until_used(replicas: Sequence[Replica], loads: Sequence[Load], since: float) -> bool:
    """Waits until each replica has served a call of each load that arrived after this time.

    Returns whether all of them have, or False when that takes too long.
    """
    pending = [(replica, load) for replica in replicas for load in loads]
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _PATIENCE_SECONDS
    while pending and loop.time() < give_up:
        await asyncio.sleep(_POLL_SECONDS)
        pending = [(replica, load) for replica, load in pending if not replica.log.has_served(load.name, since)]
    return not pending


@contextmanager
def _create_servers(network: Network, mock: Path, folder: Path) -> Iterator[list[Server]]:
    """Provides servers that are not started yet. The mock of each is the process that holds its namespace."""
    mocks: list[Process] = []
    servers: list[Server] = []
    try:
        for number in range(_REPLICAS):
            process, port = start_mock(mock, folder, name=f"mock-{number}", prefix=network.holder_prefix)
            mocks.append(process)
            place = network.add(number, process.pid)
            config = folder / f"server-{number}.toml"
            models = (UNARY_MODEL, SHORT_STREAM, LONG_STREAM)
            write_server_config(config, port, models, "allow_insecure = true")
            servers.append(Server(number, folder, config, place.port, place.host, place.prefix))
        yield servers
    finally:
        for process in mocks:
            process.stop()


@contextmanager
def _run_envoy(folder: Path, servers: Sequence[Server]) -> Iterator[tuple[int, int]]:
    """Runs Envoy in front of the servers, and provides the port of the service and the one of its admin pages."""
    config, listener, admin = folder / "envoy.yaml", find_free_port(), find_free_port()
    ports, hosts = [server.port for server in servers], [server.host for server in servers]
    write_config(config, listener=listener, admin=admin, servers=ports, hosts=hosts)
    process = Process([str(ENVOY), *list_arguments(config)], folder / "envoy.log")
    try:
        yield listener, admin
    finally:
        process.stop()
