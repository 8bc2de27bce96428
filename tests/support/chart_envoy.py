"""A real Envoy on the files that the Helm chart makes for it, as they lie in a pod."""

import asyncio
import re
from asyncio.subprocess import Process
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import trustme

from tests.support.chart import OPTIONS, render
from tests.support.envoy import read_counts, running_process
from tests.support.ports import find_port
from tests.support.upstream import PATIENCE_SECONDS

SERVER_NAME: Final = "reasoning.example.com"
"""The name in the servers' certificate, which the option "Envoy with TLS" expects."""
_SERVERS: Final = "reasoning-grpc-headless.models.svc.cluster.local"


@dataclass(frozen=True)
class Ports:
    """The ports of an Envoy that runs beside others."""

    calls: int
    admin: int
    status: int


@dataclass(frozen=True)
class EnvoyFiles:
    """A folder with Envoy's configuration, and with its Secret below `tls`."""

    folder: Path

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "envoy.yaml"

    @property
    def secret(self) -> Path:
        """The folder with tls.crt, tls.key and ca.crt."""
        return self.folder / "tls"

    def place(self, server: str) -> Ports:
        """Writes free ports into the configuration, and this address of a server in place of the Service's name."""
        ports = Ports(find_port(), find_port(), find_port())
        numbers = {"50050": ports.calls, "9901": ports.admin, "9902": ports.status, "50051": server.rpartition(":")[2]}
        text = self.config.read_text().replace(_SERVERS, "localhost")
        self.config.write_text(re.sub(r"(?<=port_value: )\d+", lambda match: str(numbers[match[0]]), text))
        return ports

    def replace_secret(self, authority: trustme.CA, version: str) -> None:
        """Puts a certificate of this authority into place, all files at once, as the kubelet does."""
        issued = authority.issue_cert(SERVER_NAME)
        folder = self.secret / f"..{version}"
        folder.mkdir(parents=True)
        authority.cert_pem.write_to_path(folder / "ca.crt")
        issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
        issued.private_key_pem.write_to_path(folder / "tls.key")
        for name in ("ca.crt", "tls.crt", "tls.key"):
            if not (self.secret / name).is_symlink():
                (self.secret / name).symlink_to(Path("..data") / name)
        link = self.secret / f"..data_{version}"
        link.symlink_to(folder.name)
        link.rename(self.secret / "..data")


def write_files(folder: Path, option: str, authority: trustme.CA | None = None) -> EnvoyFiles:
    """Writes the files of Envoy's pod for an option of the chart, with a certificate of this authority."""
    files = EnvoyFiles(folder)
    files.replace_secret(authority or trustme.CA(), "first")
    for name, text in render(OPTIONS[option])["ConfigMap reasoning-grpc-envoy"]["data"].items():
        placed = text.replace("/etc/envoy-tls", str(files.secret)).replace("/etc/envoy/", f"{folder}/")
        folder.joinpath(name).write_text(placed)
    return files


def running_envoy(files: EnvoyFiles) -> AbstractAsyncContextManager[Process]:
    """Runs Envoy on its files, and yields the process at its start."""
    return running_process(files.config, files.folder / "envoy.log")


async def read_status(address: str) -> int:
    """Returns the HTTP status of a page; 0 while nobody answers."""
    try:
        async with aiohttp.ClientSession() as session, session.get(address) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0


async def wait_for_status(address: str, wanted: int) -> None:
    """Waits until a page has this status."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await read_status(address) == wanted:
                return
            await asyncio.sleep(0.05)


async def read_count(ports: Ports, name: str) -> int:
    """Returns one of Envoy's counters of the servers."""
    async with aiohttp.ClientSession() as session:
        return (await read_counts(session, f"http://127.0.0.1:{ports.admin}")).get(name, 0)
