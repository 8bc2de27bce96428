"""A server process reaches upstreams over TLS through tunnels of the HTTP proxy; the upstream's certificate counts."""

import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
import trustme

from reasoning_grpc.client import CallFailed, ReasoningClient
from tests.support.factories import a_wire_request
from tests.support.forward_proxy import ForwardProxy
from tests.support.server_process import KEY, ServerFolder, ServerProcess
from tests.support.upstream import FakeUpstream

# All tests share an event loop, with a proxy, two upstreams and one server process.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.process]

PASSWORD: Final = "password-of-the-proxy"
HOSTS: Final = ("upstream.test", "misnamed.test")
"""The hosts of the upstream whose authority the server trusts; its certificate has only the first of these names."""
STRANGER: Final = "stranger.test"
"""The host of an upstream whose certificate another authority issued."""
MODELS: Final = {
    "chat": ("openai/m", "https://upstream.test/v1"),
    "claude": ("anthropic/m", "https://upstream.test"),
    "misnamed": ("openai/m", "https://misnamed.test/v1"),
    "stranger": ("openai/m", "https://stranger.test/v1"),
    "unknown": ("anthropic/m", "https://unknown.test"),
}
EVERY_WAY: Final = pytest.mark.parametrize("model", ["chat", "claude"])
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])


@dataclass(frozen=True)
class Site:
    """The upstream over TLS, the proxy in front of it, and the files of the authority."""

    upstream: FakeUpstream
    proxy: ForwardProxy
    authority: trustme.CA
    folder: Path

    def build_variables(self, proxy: ForwardProxy) -> dict[str, str]:
        """Returns the environment of a server behind this proxy."""
        root = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(root)
        return {
            "SSL_CERT_FILE": str(root),
            "PROXY_CREDENTIALS": f"server:{PASSWORD}",
            "REASONING_UPSTREAM_PROXY": proxy.url,
        }


def build_tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    """Returns the TLS of a server with a certificate of this authority for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Two upstreams over TLS, and the proxy that knows them."""
    folder = tmp_path_factory.mktemp("tunnels")
    authority = trustme.CA()
    async with (
        FakeUpstream(tls=build_tls(authority, HOSTS[0])) as upstream,
        FakeUpstream(tls=build_tls(trustme.CA(), STRANGER)) as stranger,
        ForwardProxy(
            {**dict.fromkeys(HOSTS, upstream.port), STRANGER: stranger.port}, credentials=f"server:{PASSWORD}"
        ) as proxy,
    ):
        (folder / "reasoning.toml").write_text(
            'default_model = "chat"\nmax_retries = 0\nbreaker_min_calls = 1000000\n'
            'connect_timeout_seconds = 60.0\nlog_level = "debug"\n'
            'upstream_proxy_credentials_env = "PROXY_CREDENTIALS"\n'
            + "".join(
                f'[models.{name}]\nlitellm_model = "{model}"\napi_base = "{address}"\napi_key_env = "FAKE_KEY"\n'
                for name, (model, address) in MODELS.items()
            )
        )
        yield Site(upstream, proxy, authority, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(site: Site) -> AsyncIterator[ServerProcess]:
    """A server process whose upstreams are behind the proxy."""
    folder = ServerFolder(site.folder, site.upstream, variables=site.build_variables(site.proxy))
    async with folder.serving() as process:
        yield process
    assert PASSWORD not in process.log.read_text()
    assert KEY not in process.log.read_text()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _fresh(site: Site) -> None:
    """Begins each test without connections and records of an earlier one."""
    site.proxy.recover()
    await site.proxy.close_connections()
    site.upstream.forget()


async def make_call(server: ServerProcess, rpc: str, model: str) -> None:
    """Makes a call by this RPC. Raises CallFailed."""
    async with ReasoningClient(server.address) as client:
        request = a_wire_request(model=model)
        if rpc == "Complete":
            await client.complete(request)
        else:
            async for _ in client.stream(request):
                pass


async def fail(server: ServerProcess, rpc: str, model: str) -> CallFailed:
    """Makes a call that must fail, and returns its failure."""
    with pytest.raises(CallFailed) as failed:
        await make_call(server, rpc, model)
    return failed.value


def describe(failed: CallFailed) -> tuple[grpc.StatusCode, str, Mapping[str, str]]:
    """Returns the code, the reason and the metadata of a failure."""
    return failed.code, failed.reason, failed.metadata


@EVERY_WAY
async def test_calls_share_a_tunnel(site: Site, server: ServerProcess, model: str) -> None:
    """Several calls need one tunnel; the proxy sees only where it leads, and the upstream only what is for it."""
    for rpc in ("Complete", "StreamComplete", "Complete"):
        await make_call(server, rpc, model)

    (tunnel,) = site.proxy.requests
    assert (tunnel.method, tunnel.target) == ("CONNECT", "upstream.test:443")
    assert tunnel.headers["user-agent"] == "reasoning-grpc"
    assert "proxy-authorization" in tunnel.headers
    assert KEY not in str(tunnel)
    assert len(site.upstream.requests) == 3
    for request in site.upstream.requests:
        assert KEY in str(request.headers)
        assert not [name for name in request.headers if name.lower().startswith("proxy")]


@EVERY_WAY
async def test_a_tunnel_that_the_proxy_closed_is_replaced(site: Site, server: ServerProcess, model: str) -> None:
    """A call after the proxy has closed an idle tunnel gets a new one."""
    await make_call(server, "Complete", model)
    await site.proxy.close_connections()

    await make_call(server, "Complete", model)

    assert site.proxy.tunnels == ["upstream.test:443"] * 2


@BOTH_RPCS
@pytest.mark.parametrize("model", ["stranger", "misnamed"])
async def test_the_upstreams_certificate_is_verified(site: Site, server: ServerProcess, rpc: str, model: str) -> None:
    """A certificate of an unknown authority, or for another name, ends the call before anything is sent."""
    failed = await fail(server, rpc, model)

    assert describe(failed) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": model})
    assert failed.interruption is None
    assert len(site.proxy.tunnels) == 1
    assert site.upstream.requests == []


@BOTH_RPCS
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 502, 503, 504])
async def test_a_refused_tunnel_is_an_unreachable_upstream(
    site: Site, server: ServerProcess, rpc: str, status: int
) -> None:
    """A proxy that does not open the tunnel makes the upstream unreachable, and the status says how it refused."""
    site.proxy.answer(status)

    failed = await fail(server, rpc, "chat")

    expected = {"model": "chat", "http_status": str(status)}
    assert describe(failed) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE", expected)
    assert failed.interruption is None


async def test_a_host_that_the_proxy_does_not_know(server: ServerProcess) -> None:
    """A host that only the proxy could know, and does not, is an unreachable upstream."""
    failed = await fail(server, "Complete", "unknown")

    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")


@EVERY_WAY
async def test_credentials_that_the_tunnel_needs(site: Site, server: ServerProcess, model: str) -> None:
    """A proxy that wants other credentials for a tunnel is the operator's to fix."""
    site.proxy.answer(407, 'Proxy-Authenticate: Basic realm="x"')

    failed = await fail(server, "Complete", model)

    assert describe(failed) == (
        grpc.StatusCode.INTERNAL,
        "UPSTREAM_CREDENTIALS_REJECTED",
        {"model": model, "http_status": "407"},
    )
    assert failed.interruption is None


@pytest.mark.parametrize("misbehave", [ForwardProxy.drop, ForwardProxy.garble], ids=["dropped", "garbled"])
async def test_a_tunnel_that_never_opens(site: Site, server: ServerProcess, misbehave: Any) -> None:
    """A proxy that breaks off or speaks no HTTP makes the upstream unreachable."""
    misbehave(site.proxy)

    failed = await fail(server, "Complete", "chat")

    assert describe(failed) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "chat"})
    assert failed.interruption is None
    await site.proxy.all_closed()


async def test_a_tunnel_that_does_not_open_in_time(site: Site) -> None:
    """A proxy that does not answer makes the upstream unreachable, as soon as the server may wait no longer for it."""
    site.proxy.hang()
    variables = {**site.build_variables(site.proxy), "REASONING_CONNECT_TIMEOUT_SECONDS": "0.2"}

    folder = ServerFolder(site.folder, site.upstream, names=["the log of the other server"], variables=variables)
    async with folder.serving() as impatient:
        failed = await fail(impatient, "Complete", "chat")

    assert describe(failed) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE", {"model": "chat"})
    assert failed.interruption is None
    await site.proxy.all_closed()


@EVERY_WAY
async def test_a_cancelled_stream_closes_its_tunnel(site: Site, server: ServerProcess, model: str) -> None:
    """A stream that its client leaves closes the tunnel at once, so that the upstream stops."""
    gate = site.upstream.gated("a", "b")
    gate.open()
    async with ReasoningClient(server.address) as client:
        stream = client.stream(a_wire_request(model=model))
        async for event in stream:
            if event.WhichOneof("kind") == "content_delta":
                break
        await stream.aclose()
        await site.upstream.disconnect()
        await site.proxy.all_closed()


async def test_a_call_that_is_cancelled_before_its_tunnel_opens(site: Site, server: ServerProcess) -> None:
    """A call that its client leaves while the proxy has not answered closes the connection to the proxy."""
    site.proxy.hang()
    async with ReasoningClient(server.address) as client:
        call: Any = client.stub.Complete(a_wire_request(model="chat"))
        await site.proxy.request()
        call.cancel()
        await site.proxy.all_closed()


async def test_a_proxy_over_tls(site: Site) -> None:
    """The connection to the proxy itself may be TLS, within which the tunnel has the TLS of the upstream."""
    tls = build_tls(site.authority, "127.0.0.1")
    async with ForwardProxy({HOSTS[0]: site.upstream.port}, credentials=f"server:{PASSWORD}", tls=tls) as proxy:
        folder = ServerFolder(site.folder, site.upstream, variables=site.build_variables(proxy))
        async with folder.serving() as process:
            await make_call(process, "Complete", "chat")
            await make_call(process, "StreamComplete", "claude")

    assert proxy.url.startswith("https://")
    assert proxy.tunnels == ["upstream.test:443"]
    assert len(site.upstream.requests) == 2
