"""Upstreams are reached through the HTTP proxy of the configuration, and through no other."""

import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.config import Config, ModelEntry, ProxyEntry, UpstreamProxyEntry
from reasoning_grpc.domain import Secret
from tests.support.callers_keys import (
    ALICE,
    FOREIGN,
    PROVIDERS,
    build_callers,
    build_entry,
    expect_failed_call,
    find_keys,
    make_call,
)
from tests.support.factories import a_stream_request
from tests.support.forward_proxy import ForwardProxy
from tests.support.model_lists import list_page
from tests.support.serving import UPSTREAM_KEY, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream, refusing_api_base
from tests.support.wire_calls import read_first_delta

HOST: Final = "upstream.test"
"""A name that only the proxy knows, so that nothing reaches this host without the proxy."""
CREDENTIALS: Final = "server:pass word"
ENCODED_CREDENTIALS: Final = "Basic c2VydmVyOnBhc3Mgd29yZA=="
OUR_CONNECTIONS: Final = [provider for provider in PROVIDERS if provider != FOREIGN]
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])


@pytest.fixture
async def proxy(upstream: FakeUpstream) -> AsyncIterator[ForwardProxy]:
    """A proxy with credentials that knows the upstream by a name."""
    async with ForwardProxy({HOST: upstream.port}, credentials=CREDENTIALS) as running:
        yield running


def build_config(proxy: ForwardProxy, *entries: ModelEntry, credentials: str = CREDENTIALS, **options: Any) -> Config:
    """Builds the configuration of a server whose upstreams are behind the proxy."""
    return replace(config_for(*entries, **options), upstream_proxy=build_proxy_entry(proxy.url, credentials))


def build_proxy_entry(url: str, credentials: str = CREDENTIALS, **options: Any) -> UpstreamProxyEntry:
    """Builds the entry of a proxy at this address."""
    return UpstreamProxyEntry(url=url, credentials=Secret(credentials) if credentials else None, **options)


def build_distant_entry(upstream: FakeUpstream, provider: str = "openai", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model that the proxy alone can reach."""
    entry = build_entry(upstream, provider, **overrides)
    return replace(entry, api_base=entry.api_base.replace(f"127.0.0.1:{upstream.port}", HOST))


@pytest.mark.parametrize("provider", OUR_CONNECTIONS)
async def test_calls_go_through_the_proxy(upstream: FakeUpstream, proxy: ForwardProxy, provider: str) -> None:
    """Each call of every protocol goes through the proxy, over one connection; only the proxy gets its credentials."""
    config = build_config(proxy, build_distant_entry(upstream, provider))
    async with serving(config) as running:
        for rpc in ("Complete", "StreamComplete", "Complete"):
            await make_call(running, "nobody", rpc)

    assert [request.headers["proxy-authorization"] for request in proxy.requests] == [ENCODED_CREDENTIALS] * 3
    assert all(request.target.startswith(f"http://{HOST}/") for request in proxy.requests)
    assert (proxy.connections, upstream.connections) == (1, 1)
    assert find_keys(upstream.requests) == [[UPSTREAM_KEY]] * 3
    assert {request.headers["Host"] for request in upstream.requests} == {HOST}
    assert not [name for request in upstream.requests for name in request.headers if name.lower().startswith("proxy-")]


async def test_local_and_excluded_hosts_are_reached_directly(upstream: FakeUpstream, proxy: ForwardProxy) -> None:
    """Upstreams on this machine, and those that are excluded, are reached without the proxy."""
    entry = model_entry(upstream.api_base)
    excluded = build_distant_entry(upstream, name="excluded")
    config = replace(
        build_config(proxy, entry, excluded, max_retries=0),
        upstream_proxy=build_proxy_entry(proxy.url, excluded_names=frozenset({"test"})),
    )
    async with serving(config) as running:
        await make_call(running, "nobody")
        failed = await expect_failed_call(running, "nobody", "Complete", model="excluded")

    assert proxy.connections == 0
    assert failed.reason == "UPSTREAM_UNREACHABLE"  # the name is known to the proxy alone


@BOTH_RPCS
@pytest.mark.parametrize("caller", ["alice", "eve"])
async def test_refused_credentials_are_the_operators(
    upstream: FakeUpstream, proxy: ForwardProxy, rpc: str, caller: str
) -> None:
    """A proxy that refuses the server's credentials is the operator's to fix, whosever key the call carries."""
    entry = build_distant_entry(upstream)
    config = build_config(proxy, entry, credentials="server:wrong", callers=build_callers(alice={entry.name: ALICE}))
    async with serving(config) as running:
        failed = await expect_failed_call(running, caller, rpc)

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED")
    assert failed.metadata == {"model": "fake", "http_status": "407"}
    assert failed.interruption is None
    assert len(proxy.requests) == 1
    assert upstream.requests == []


@BOTH_RPCS
async def test_a_proxy_that_cannot_be_reached(upstream: FakeUpstream, rpc: str) -> None:
    """A proxy that refuses connections, or whose name is unknown, makes the upstream unreachable."""
    with refusing_api_base() as api_base:
        for url in (api_base.removesuffix("/v1"), "http://nonexistent.invalid:3128"):
            config = replace(
                config_for(build_distant_entry(upstream), max_retries=1), upstream_proxy=build_proxy_entry(url)
            )
            async with serving(config) as running:
                failed = await expect_failed_call(running, "nobody", rpc)

            assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")
            assert failed.interruption is None


@pytest.mark.parametrize(
    ("status", "code", "reason", "requests"),
    [
        (403, grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED", 1),
        (502, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_ERROR", 2),
        (503, grpc.StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED", 2),
        (504, grpc.StatusCode.DEADLINE_EXCEEDED, "UPSTREAM_TIMEOUT", 1),
    ],
)
async def test_statuses_without_a_tunnel_look_like_the_upstreams(
    upstream: FakeUpstream, proxy: ForwardProxy, status: int, code: grpc.StatusCode, reason: str, requests: int
) -> None:
    """A status that the proxy answers to a request over http counts as the upstream's: nobody can tell them apart."""
    proxy.answer(status)
    async with serving(build_config(proxy, build_distant_entry(upstream), max_retries=1)) as running:
        failed = await expect_failed_call(running, "nobody", "Complete")

    assert (failed.code, failed.reason, len(proxy.requests)) == (code, reason, requests)


async def test_a_dropped_connection_is_an_unreachable_upstream(upstream: FakeUpstream, proxy: ForwardProxy) -> None:
    """A proxy that closes the connection instead of an answer makes the upstream unreachable."""
    proxy.drop()
    async with serving(build_config(proxy, build_distant_entry(upstream), max_retries=0)) as running:
        failed = await expect_failed_call(running, "nobody", "Complete")

    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNREACHABLE")


async def test_a_cancelled_call_leaves_the_proxy(upstream: FakeUpstream, proxy: ForwardProxy) -> None:
    """A call that its client leaves closes its connection to the proxy, so that the upstream sees it too."""
    gate = upstream.gated("a", "b")
    async with serving(build_config(proxy, build_distant_entry(upstream))) as running:
        stream: Any = running.stub.StreamComplete(a_stream_request())
        await upstream.request()
        gate.open()
        await read_first_delta(stream)
        stream.cancel()
        await upstream.disconnect()
        await proxy.all_closed()


async def test_a_litellm_proxy_is_read_through_the_proxy(upstream: FakeUpstream, proxy: ForwardProxy) -> None:
    """The list of a LiteLLM proxy's models is read where its calls go: through the HTTP proxy."""
    upstream.model_info.lists("listed")
    config = replace(
        build_config(proxy, default_model="listed"),
        proxy=ProxyEntry(base_url=f"http://{HOST}", api_key=Secret(UPSTREAM_KEY)),
    )
    async with serving(config) as running:
        assert [model.name for model in (await list_page(running)).models] == ["listed"]
        await make_call(running, "nobody", model="listed")

    assert [request.target for request in proxy.requests] == [
        f"http://{HOST}/v1/model/info",
        f"http://{HOST}/v1/chat/completions",
    ]


@pytest.mark.parametrize("provider", [*PROVIDERS, "azure without a key"])
async def test_proxies_of_the_environment_are_not_used(
    upstream: FakeUpstream, proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """No way obeys the proxy variables of the environment, not even litellm's own connections."""
    monkeypatch.setenv("AZURE_API_KEY", UPSTREAM_KEY)
    key = Secret(UPSTREAM_KEY if provider in PROVIDERS else "")
    entry = build_entry(upstream, provider.partition(" ")[0], api_key=key)
    async with serving(config_for(entry)) as running:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):  # now: the test's own client of gRPC would use them
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.lower(), proxy.url)
        await make_call(running, "nobody")

    assert proxy.connections == 0
    assert len(upstream.requests) == 1


async def test_no_credentials_are_shown(
    upstream: FakeUpstream, proxy: ForwardProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """No log, error or repr holds the proxy's credentials, or its address in an error that callers see."""
    caplog.set_level(logging.DEBUG)
    config = build_config(proxy, build_distant_entry(upstream), credentials="server:pass-word")
    async with serving(config) as running:
        failed = await expect_failed_call(running, "nobody", "Complete")

    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    shown = repr(config) + logged + repr(failed) + repr(failed.__cause__) + str(failed.metadata)
    assert "pass-word" not in shown
    assert "c2VydmVyOn" not in shown
    assert str(proxy.port) not in repr(failed.__cause__)
