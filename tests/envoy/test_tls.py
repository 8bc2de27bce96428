"""TLS as docs/envoy.md shows it: clients verify Envoy, Envoy verifies the servers, and a new certificate is used."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
import yaml

from scripts.pages import ROOT, find_blocks
from tests.support.envoy import Envoy, Settings, find_cluster, find_listener, running_envoy
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure, read_first_delta, read_to_end

pytestmark = [pytest.mark.envoy, pytest.mark.process]

FOLDER = "/etc/envoy"
SERVER_NAME = "reasoning.example.com"
"""What the page names: the folder of the files, and the servers."""


@dataclass(frozen=True)
class Certificates:
    """A folder of certificates that is replaced as a whole, as Kubernetes does it with a secret."""

    folder: Path
    ca: trustme.CA

    def replace(self, revision: str, *, server_name: str = SERVER_NAME, trusted: trustme.CA | None = None) -> None:
        """Writes new certificates of Envoy and of the servers, and the authority, and puts all in place at once."""
        data = self.folder / revision
        data.mkdir(parents=True)
        (trusted or self.ca).cert_pem.write_to_path(data / "ca.pem")
        for kind, name in (("envoy", "127.0.0.1"), ("server", server_name)):
            issued = self.ca.issue_cert(name)
            (data / f"{kind}.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
            issued.private_key_pem.write_to_path(data / f"{kind}.key")
        (self.folder / "..next").symlink_to(revision)
        (self.folder / "..next").rename(self.folder / "..data")
        for file in data.iterdir():
            if not (self.folder / file.name).is_symlink():
                (self.folder / file.name).symlink_to(f"..data/{file.name}")

    async def read_served(self, address: str) -> bytes:
        """Returns the certificate that Envoy shows to a new client, which verifies it."""
        context = ssl.create_default_context(cadata=self.ca.cert_pem.bytes().decode())
        context.set_alpn_protocols(["h2"])
        host, _, port = address.partition(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        connection = writer.get_extra_info("ssl_object")
        assert connection.selected_alpn_protocol() == "h2"
        certificate = connection.getpeercert(binary_form=True)
        assert isinstance(certificate, bytes)
        writer.close()
        await writer.wait_closed()
        return certificate


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Provides certificates of one authority."""
    return Certificates(tmp_path / "tls", trustme.CA())


def read_examples(folder: Path) -> list[Any]:
    """Returns the four parts of a configuration that the page shows, with the files of this folder."""
    blocks = find_blocks(ROOT.joinpath("docs", "envoy.md").read_text(), "yaml")
    parts = [yaml.safe_load(block.text.replace(FOLDER, str(folder))) for block in blocks]
    assert len(parts) == 4
    return parts


@asynccontextmanager
async def serving_with_tls(
    upstream: FakeUpstream, certificates: Certificates, folder: Path, *, healthy: int = 2
) -> AsyncIterator[Envoy]:
    """Runs two servers with TLS behind an Envoy with TLS, set up as the page shows, which finds so many healthy."""
    towards_clients, towards_servers, certificate, authorities = read_examples(folder)
    for name, part in (("certificate", certificate), ("authorities", authorities)):
        folder.joinpath(f"{name}.yaml").write_text(yaml.safe_dump(part))
    entry = model_entry(upstream.api_base)
    files: dict[str, Any] = {
        "tls_certificate": certificates.folder / "server.pem",
        "tls_key": certificates.folder / "server.key",
    }

    def add_tls(settings: Settings) -> None:
        """Adds the parts where the page says."""
        find_listener(settings)["filter_chains"][0].update(towards_clients)
        find_cluster(settings).update(towards_servers)

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(serving(config_for(entry, **files))) for _ in range(2)]
        addresses = [server.address for server in servers]
        trusted = grpc.ssl_channel_credentials(certificates.ca.cert_pem.bytes())
        yield await stack.enter_async_context(
            running_envoy(folder, addresses, change=add_tls, credentials=trusted, healthy=healthy)
        )


async def test_a_call_is_encrypted_on_both_sides(
    upstream: FakeUpstream, certificates: Certificates, tmp_path: Path
) -> None:
    """The client verifies Envoy's certificate, Envoy that of each server, and checks of health use TLS as well."""
    certificates.replace("first")
    async with serving_with_tls(upstream, certificates, tmp_path) as envoy:
        answer = await envoy.stub.Complete(a_wire_request())

        assert answer.message.content
        assert (await envoy.read_counts())["ssl.handshake"] > 0


async def test_a_server_with_another_name_gets_no_call(
    upstream: FakeUpstream, certificates: Certificates, tmp_path: Path
) -> None:
    """A certificate of the right authority is not enough, as others may have one."""
    certificates.replace("first", server_name="other.example.com")
    async with serving_with_tls(upstream, certificates, tmp_path, healthy=0) as envoy:
        await envoy.wait_for_count("ssl.fail_verify_san", lambda count: count >= 2)
        failure = await expect_failure(envoy.stub.Complete(a_wire_request()))

    assert failure.message == "no healthy upstream"
    assert upstream.requests == []


async def test_a_new_certificate_is_used_without_a_restart(
    upstream: FakeUpstream, certificates: Certificates, tmp_path: Path
) -> None:
    """New connections get it once it is in place, and a stream on an old connection goes on to its end."""
    certificates.replace("first")
    gate = upstream.gated("a", "b")
    gate.open()
    async with serving_with_tls(upstream, certificates, tmp_path) as envoy:
        first = await certificates.read_served(envoy.address)
        stream = envoy.stub.StreamComplete(a_stream_request())
        await read_first_delta(stream)

        certificates.replace("second")

        async with asyncio.timeout(PATIENCE_SECONDS):
            while await certificates.read_served(envoy.address) == first:
                pass
        gate.open_all()
        rest = await read_to_end(stream)

    assert [event.WhichOneof("kind") for event in rest] == ["content_delta", "completed"]


async def test_a_new_authority_is_trusted_without_a_restart(
    upstream: FakeUpstream, certificates: Certificates, tmp_path: Path
) -> None:
    """Servers of an authority that Envoy does not know get no call, and get calls once their authority is in place."""
    certificates.replace("first", trusted=trustme.CA())
    async with serving_with_tls(upstream, certificates, tmp_path, healthy=0) as envoy:
        await envoy.wait_for_count("ssl.fail_verify_error", lambda count: count >= 2)

        certificates.replace("second")

        await envoy.wait_for_servers(2)
        answer = await envoy.stub.Complete(a_wire_request())

    assert answer.message.content
