"""With TLS, the Envoy of the chart encrypts on both sides, and goes on with a Secret that is replaced."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.chart_envoy import (
    SERVER_NAME,
    EnvoyFiles,
    Ports,
    read_count,
    running_envoy,
    wait_for_status,
    write_files,
)
from tests.support.factories import a_wire_request
from tests.support.serving import serving_upstream
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream

pytestmark = [pytest.mark.helm, pytest.mark.process]


@pytest.fixture(scope="module")
def authorities() -> tuple[trustme.CA, trustme.CA]:
    """Provides the authority of the first certificate, and that of the second."""
    return trustme.CA(), trustme.CA()


def open_channel(ports: Ports, *trusted: trustme.CA) -> grpc.aio.Channel:
    """Opens a channel to Envoy that trusts these authorities and expects the servers' name."""
    credentials = grpc.ssl_channel_credentials(b"".join(authority.cert_pem.bytes() for authority in trusted))
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    return grpc.aio.secure_channel(f"127.0.0.1:{ports.calls}", credentials, options=options)


async def call(channel: grpc.aio.Channel) -> str:
    """Makes a call, and returns the text of its answer."""
    stub: Any = ReasoningServiceStub(channel)
    answer = await stub.Complete(a_wire_request(), timeout=PATIENCE_SECONDS, wait_for_ready=True)
    text: str = answer.message.content[0].text
    return text


async def wait_for_certificate(ports: Ports, files: EnvoyFiles) -> None:
    """Waits until new connections to Envoy get the certificate that the Secret has now."""
    wanted = (files.secret / "tls.crt").read_text()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", ports.calls))
            if ssl.PEM_cert_to_DER_cert(shown) == ssl.PEM_cert_to_DER_cert(wanted):
                return
            await asyncio.sleep(0.05)


async def test_envoy_encrypts_on_both_sides_and_takes_a_new_secret(
    upstream: FakeUpstream, tmp_path: Path, authorities: tuple[trustme.CA, trustme.CA]
) -> None:
    """Callers see the servers' certificate, and both sides go on with one of another authority without a restart.

    The server ends connections after a second, so that Envoy must check the new certificate soon.
    """
    first, second = authorities
    upstream.always.reply("Hello")
    files = write_files(tmp_path, "Envoy with TLS", first)
    pair = {"tls_certificate": files.secret / "tls.crt", "tls_key": files.secret / "tls.key"}
    async with serving_upstream(upstream, max_connection_age_seconds=1.0, **pair) as running:
        ports = files.place(running.address)
        async with running_envoy(files):
            await wait_for_status(f"http://127.0.0.1:{ports.status}/ready", 200)
            async with open_channel(ports, first) as channel:
                assert await call(channel) == "Hello"

            files.replace_secret(second, "second")
            await wait_for_certificate(ports, files)
            handshakes = await read_count(ports, "ssl.handshake")
            async with asyncio.timeout(PATIENCE_SECONDS), open_channel(ports, second) as channel:
                while await read_count(ports, "ssl.handshake") < handshakes + 2:
                    assert await call(channel) == "Hello"


async def test_envoy_calls_no_server_with_another_certificate(
    upstream: FakeUpstream, tmp_path: Path, authorities: tuple[trustme.CA, trustme.CA]
) -> None:
    """A server whose certificate the authority of the Secret has not issued gets no call."""
    first, stranger = authorities
    files = write_files(tmp_path / "envoy", "Envoy with TLS", first)
    other = EnvoyFiles(tmp_path / "server")
    other.replace_secret(stranger, "first")
    pair = {"tls_certificate": other.secret / "tls.crt", "tls_key": other.secret / "tls.key"}
    async with serving_upstream(upstream, **pair) as running:
        ports = files.place(running.address)
        async with running_envoy(files), open_channel(ports, first) as channel:
            await wait_for_status(f"http://127.0.0.1:{ports.status}/ready", 200)
            stub: Any = ReasoningServiceStub(channel)

            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await stub.Complete(a_wire_request(), timeout=PATIENCE_SECONDS, wait_for_ready=True)

            assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
            assert await read_count(ports, "ssl.fail_verify_error") > 0
    assert upstream.requests == []
