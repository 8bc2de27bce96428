"""The server listens on its address, with or without TLS, or says why it cannot."""

import asyncio
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import trustme

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.config import Config
from reasoning_grpc.server import Server, StartError
from tests.support.factories import a_wire_request
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer, config_for, model_entry, serving_upstream
from tests.support.upstream import FakeUpstream

IN_USE: Final = "cannot be listened on: it is in use, or it is not an address of this machine"


@dataclass(frozen=True)
class Authority:
    """A certificate authority, with the files of a certificate that it issued for a server."""

    ca: trustme.CA
    certificate: Path
    """The certificate of the authority itself."""
    server_certificate: Path
    server_key: Path

    @property
    def root(self) -> bytes:
        """The certificate of the authority itself, as PEM."""
        return self.ca.cert_pem.bytes()

    def credentials(self, *, client_of: "Authority | None" = None) -> grpc.ChannelCredentials:
        """Returns credentials of a client that trusts this authority.

        With `client_of` the client shows a certificate that the authority `client_of` issued.
        """
        if client_of is None:
            return grpc.ssl_channel_credentials(self.root)
        issued = client_of.ca.issue_cert("client@example.com")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return grpc.ssl_channel_credentials(self.root, issued.private_key_pem.bytes(), chain)


def create_authority(folder: Path) -> Authority:
    """Creates an authority that has issued a certificate for a server on loopback."""
    folder.mkdir()
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1")
    authority = Authority(ca, folder / "ca.pem", folder / "server.pem", folder / "server.key")
    ca.cert_pem.write_to_path(authority.certificate)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(authority.server_certificate, append=True)
    issued.private_key_pem.write_to_path(authority.server_key)
    return authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that issued the server's certificate."""
    return create_authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that has nothing to do with the server's."""
    return create_authority(tmp_path_factory.mktemp("tls") / "another")


async def read_answer(address: str, credentials: grpc.ChannelCredentials | None) -> str:
    """Returns the text that a client with these credentials gets from a server."""
    async with ReasoningClient(address, credentials=credentials) as client:
        answer = await client.complete(a_wire_request())
        return "".join(part.text for part in answer.message.content)


async def expect_no_connection(address: str, credentials: grpc.ChannelCredentials | None) -> None:
    """Checks that a client with these credentials gets no connection."""
    with pytest.raises(CallFailed) as failed:
        await read_answer(address, credentials)
    assert failed.value.code == grpc.StatusCode.UNAVAILABLE
    assert failed.value.reason == ""


def settings_for(authority: Authority) -> dict[str, Any]:
    """Returns the settings that turn TLS on with the files of this authority."""
    return {"tls_certificate": authority.server_certificate, "tls_key": authority.server_key}


async def test_tls_serves_clients_that_trust_the_authority(
    upstream: FakeUpstream, authority: Authority, stranger: Authority
) -> None:
    """With TLS only clients that trust the server's authority get a connection."""
    async with serving_upstream(upstream, **settings_for(authority)) as running:
        assert await read_answer(running.address, authority.credentials()) == "Hello world"
        await asyncio.gather(
            expect_no_connection(running.address, stranger.credentials()),
            expect_no_connection(running.address, None),
        )

    assert len(upstream.requests) == 1


async def test_mutual_tls_serves_clients_with_a_certificate(
    upstream: FakeUpstream, authority: Authority, stranger: Authority
) -> None:
    """With `tls_client_ca` only clients with a certificate of that authority get a connection."""
    settings = {**settings_for(authority), "tls_client_ca": authority.certificate}

    async with serving_upstream(upstream, **settings) as running:
        assert await read_answer(running.address, authority.credentials(client_of=authority)) == "Hello world"
        await asyncio.gather(
            expect_no_connection(running.address, authority.credentials()),
            expect_no_connection(running.address, authority.credentials(client_of=stranger)),
        )

    assert len(upstream.requests) == 1


async def expect_start_error(config: Config) -> str:
    """Starts a server that must fail to start, and returns the message; checks that no call is left."""
    server = Server(config)
    with pytest.raises(StartError) as failed:
        await server.start()
    assert server.calls_in_flight == 0
    return str(failed.value)


async def test_a_port_in_use_is_a_start_error(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """A second server on a port does not start, and the first one continues to serve."""
    config = config_for(model_entry(upstream.api_base), listen=running_server.address)

    assert await expect_start_error(config) == f"{running_server.address} {IN_USE}"
    assert await check_health(running_server.channel) == SERVING


async def test_a_port_taken_by_another_program_is_a_start_error(upstream: FakeUpstream) -> None:
    """A server does not start on a port that another program's socket has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        problem = await expect_start_error(config_for(model_entry(upstream.api_base), listen=address))

    assert problem == f"{address} {IN_USE}"


async def test_a_tls_file_that_cannot_be_read_is_a_start_error(
    upstream: FakeUpstream, authority: Authority, tmp_path: Path
) -> None:
    """A missing TLS file is a start error that names the file."""
    settings = {**settings_for(authority), "tls_key": tmp_path / "no.key"}

    problem = await expect_start_error(config_for(model_entry(upstream.api_base), **settings))

    assert problem == f"{tmp_path / 'no.key'}: cannot be read: No such file or directory"


async def test_an_invalid_tls_file_is_a_start_error(
    upstream: FakeUpstream, authority: Authority, tmp_path: Path
) -> None:
    """A certificate that is not PEM is a start error that names the files."""
    (tmp_path / "junk.pem").write_text("junk")
    settings = {**settings_for(authority), "tls_certificate": tmp_path / "junk.pem"}

    problem = await expect_start_error(config_for(model_entry(upstream.api_base), **settings))

    files = f"{tmp_path / 'junk.pem'} and {authority.server_key}"
    assert problem == f"{files}: are not a certificate in PEM and its private key"


@pytest.mark.slow
async def test_a_client_that_pings_too_often_loses_its_connection(
    running_server: RunningServer, upstream: FakeUpstream
) -> None:
    """A client that pings a silent call every second, instead of every ten, loses its connection."""
    upstream.hang()

    async with ReasoningClient(running_server.address, options=[("grpc.keepalive_time_ms", 1000)]) as client:
        with pytest.raises(CallFailed) as failed:
            await client.complete(a_wire_request(), timeout_seconds=60)

    assert (failed.value.code, failed.value.message) == (grpc.StatusCode.UNAVAILABLE, "Too many pings")


async def test_certificates_are_replaced_while_calls_are_made(
    upstream: FakeUpstream, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """Files that change on disk are picked up without a reload: no call fails, and new connections see the new ones.

    The files are those of an operator's tool, which puts a new folder in the place of the old one. A key that does not
    fit its certificate, as between two writes, is passed over.
    """
    folders = {}
    for name, issuer in (("old", authority), ("new", stranger)):
        folders[name] = folder = tmp_path / name
        folder.mkdir()
        for source, target in (
            (issuer.server_certificate, "server.pem"),
            (issuer.server_key, "server.key"),
            (issuer.certificate, "ca.pem"),
        ):
            (folder / target).write_bytes(source.read_bytes())
    current = tmp_path / "current"
    current.symlink_to(folders["old"])
    settings = {
        "tls_certificate": current / "server.pem",
        "tls_key": current / "server.key",
        "tls_client_ca": current / "ca.pem",
    }
    trusts_both = authority.root + stranger.root

    def credentials_of(issuer: Authority) -> grpc.ChannelCredentials:
        issued = issuer.ca.issue_cert("client@example.com")
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return grpc.ssl_channel_credentials(trusts_both, issued.private_key_pem.bytes(), chain)

    async def call_until(stop: asyncio.Event, address: str, clients: dict[str, Authority]) -> int:
        """Makes calls, each third over a connection of its own, and returns how many were answered."""
        answered = 0
        while not stop.is_set():
            issuer = clients["current"]
            in_use[issuer] += 1
            async with ReasoningClient(address, credentials=credentials_of(issuer)) as client:
                for _ in range(3):
                    await client.complete(a_wire_request())
                    answered += 1
            in_use[issuer] -= 1
        return answered

    async with serving_upstream(upstream, **settings) as running:
        clients, stop, in_use = {"current": authority}, asyncio.Event(), Counter[Authority]()
        async with ReasoningClient(running.address, credentials=credentials_of(authority)) as connected:
            await connected.complete(a_wire_request())
            load = [asyncio.create_task(call_until(stop, running.address, clients)) for _ in range(4)]
            await upstream.request(len(upstream.requests) + 30)

            (folders["old"] / "server.key").write_bytes(stranger.server_key.read_bytes())
            await upstream.request(len(upstream.requests) + 30)
            # The authority of the clients is replaced too: from now on they show certificates of the new one.
            both = authority.root + stranger.root
            (folders["new"] / "ca.pem").write_bytes(both)
            replacement = tmp_path / "replacement"
            replacement.symlink_to(folders["new"])
            replacement.replace(current)
            await upstream.request(len(upstream.requests) + 30)
            clients["current"] = stranger
            while in_use[authority]:
                await upstream.request(len(upstream.requests) + 1)
            await upstream.request(len(upstream.requests) + 30)
            (folders["new"] / "ca.pem").write_bytes(stranger.root)
            await upstream.request(len(upstream.requests) + 30)
            stop.set()

            assert sum(await asyncio.gather(*load)) > 100
            await connected.complete(a_wire_request())  # an open connection keeps the certificate that it began with
        await asyncio.gather(
            expect_no_connection(running.address, credentials_of(authority)),
            expect_no_connection(running.address, authority.credentials(client_of=stranger)),
        )
        assert await read_answer(running.address, stranger.credentials(client_of=stranger)) == "Hello world"
