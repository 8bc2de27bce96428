"""Models that a LiteLLM proxy lists: read in the background, kept when it fails, served through it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reasoning_grpc.catalog.proxy import ProxyModels
from reasoning_grpc.catalog.sources import ServedModel
from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.config import CallerEntry, ProxyEntry, hash_token
from reasoning_grpc.domain import ModelSourceKind, Secret
from reasoning_grpc.server.server import Server
from reasoning_grpc.v1 import classification_pb2, completion_pb2, errors_pb2, models_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, model_entry, proxy_entry, serving
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream, refusing_api_base

SOON: Final = 0.02
"""A time to live that lets a test see many readings."""
PROXY: Final = models_pb2.MODEL_SOURCE_KIND_PROXY
NOT_LISTED: Final = (
    grpc.StatusCode.UNAVAILABLE,
    "UPSTREAM_UNREACHABLE",
    "The LiteLLM proxy has not listed its models yet.",
)
INFO: Final = ("GET", "/v1/model/info")
LIST: Final = ("GET", "/v1/models")
CHAT: Final = ("POST", "/v1/chat/completions")

Script = Callable[[FakeUpstream], Any]


@asynccontextmanager
async def behind(upstream: FakeUpstream, *entries: Any, **options: Any) -> AsyncIterator[RunningServer]:
    """A server whose LiteLLM proxy is the fake upstream; nothing else is configured, unless asked for."""
    options = {"proxy": proxy_entry(upstream), "default_model": "", **options}
    async with serving(config_for(*entries, **options)) as running:
        yield running


async def listed(running: RunningServer, **fields: Any) -> models_pb2.ListModelsResponse:
    """One page."""
    stub: Any = running.stub
    page: models_pb2.ListModelsResponse = await stub.ListModels(models_pb2.ListModelsRequest(**fields))
    return page


async def names(running: RunningServer, **fields: Any) -> list[str]:
    """The names on one page."""
    return [model.name for model in (await listed(running, **fields)).models]


async def proxy_source(running: RunningServer) -> models_pb2.ModelSource:
    """What is told of the proxy as a source."""
    (source,) = [source for source in (await listed(running)).sources if source.kind == PROXY]
    return source


async def failure(call: Any) -> CallFailed:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


def told(failed: CallFailed) -> tuple[grpc.StatusCode, str, str]:
    """What is said of a failure."""
    return failed.code, failed.reason, failed.message


def asked(upstream: FakeUpstream) -> list[tuple[str, str]]:
    """What the fake upstream was asked so far."""
    return [(request.method, request.path) for request in upstream.requests]


async def renewed(upstream: FakeUpstream) -> None:
    """Waits until a reading that begins from now on has ended: each takes at most two requests, one after the other."""
    await upstream.request(len(upstream.requests) + 3)


def every_call(running: RunningServer, **fields: Any) -> list[Any]:
    """One call of each method that names a model."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(**fields))
    return [
        running.stub.Complete(a_wire_request(**fields)),
        to_the_end(running.stub.StreamComplete(a_stream_request(**fields))),
        running.stub.Classify(classify),
    ]


async def to_the_end(stream: Any) -> None:
    """Reads a stream."""
    async for _ in stream:
        pass


async def test_a_model_of_the_proxy_is_told_whole(upstream: FakeUpstream) -> None:
    """What the proxy tells of it, and how fresh that is, arrives; addresses and keys do not."""
    facts = {
        "litellm_provider": "anthropic",
        "max_input_tokens": 200_000,
        "max_output_tokens": 8192,
        "input_cost_per_token": 8e-07,
        "output_cost_per_token": 4e-06,
        "cache_read_input_token_cost": 8e-08,
        "cache_creation_input_token_cost": 1e-06,
        "supports_function_calling": True,
        "supports_vision": False,
    }
    upstream.model_info.lists(("team/claude", facts), "other", "openai/*")
    before = datetime.now(UTC)

    async with behind(upstream) as running:
        page = await listed(running)

    assert list(page.models) == [
        models_pb2.Model(
            name="other",
            source=PROXY,
            provider="litellm_proxy",
            state=models_pb2.MODEL_STATE_AVAILABLE,
            limits=models_pb2.ModelLimits(),
        ),
        models_pb2.Model(
            name="team/claude",
            source=PROXY,
            provider="anthropic",
            state=models_pb2.MODEL_STATE_AVAILABLE,
            capabilities=[models_pb2.MODEL_CAPABILITY_TOOLS],
            limits=models_pb2.ModelLimits(context_window_tokens=200_000, max_output_tokens=8192),
            prices=models_pb2.ModelPrices(
                input_nano_usd_per_million=800_000_000,
                output_nano_usd_per_million=4_000_000_000,
                cached_input_nano_usd_per_million=80_000_000,
                cache_write_nano_usd_per_million=1_000_000_000,
            ),
        ),
    ]
    (source,) = page.sources
    assert (source.kind, source.model_count, source.stale, source.failure) == (PROXY, 2, False, 0)
    assert before <= source.updated_at.ToDatetime(UTC) <= datetime.now(UTC)
    (request,) = upstream.requests
    assert (request.method, request.path, request.raw) == (*INFO, b"")
    assert request.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_without_a_key_none_is_sent(upstream: FakeUpstream) -> None:
    """A proxy that asks for none gets none, neither for its list nor for a call."""
    upstream.model_info.lists("m")

    async with behind(upstream, proxy=ProxyEntry(base_url=f"http://127.0.0.1:{upstream.port}")) as running:
        await running.client().complete(a_wire_request())

    assert asked(upstream) == [INFO, CHAT]
    assert all("Authorization" not in request.headers for request in upstream.requests)


@pytest.mark.parametrize("name", ["gpt", "team/gpt", "openai/gpt-4o", "litellm_proxy/x", "a:b@c"])
async def test_a_model_of_the_proxy_answers(upstream: FakeUpstream, name: str) -> None:
    """The proxy gets the name that it listed, whatever litellm could read into it, and prices make the cost."""
    upstream.model_info.lists((name, {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}))
    upstream.reply("Hello")

    async with behind(upstream) as running:
        answer = await running.client().complete(a_wire_request(model=name))

    assert (answer.model, answer.message.content[0].text) == (name, "Hello")
    assert answer.cost.total_nano_usd == 11 * 1000 + 7 * 2000
    assert asked(upstream) == [INFO, CHAT]
    assert upstream.requests[1].body["model"] == name
    assert upstream.requests[1].headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_what_a_model_is_known_to_lack_is_refused(upstream: FakeUpstream) -> None:
    """A capability that the proxy denies is not asked for; one that it does not know is."""
    upstream.model_info.lists(("no", {"supports_reasoning": False}), "unknown")
    reasoning = completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_LOW)

    async with behind(upstream) as running:
        failed = await failure(running.stub.Complete(a_wire_request(model="no", reasoning=reasoning)))
        await running.client().complete(a_wire_request(model="unknown", reasoning=reasoning))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert failed.violations == (FieldViolation("reasoning.effort", "The model no cannot do it."),)
    assert asked(upstream) == [INFO, CHAT]


async def test_the_configuration_wins_over_the_proxy(upstream: FakeUpstream) -> None:
    """A name that both have is told, and reached, as the configuration says."""
    upstream.model_info.lists("both", "proxied")
    entry = model_entry(upstream.api_base, "both", litellm_model="litellm_proxy/behind", description="Ours.")

    async with behind(upstream, entry) as running:
        page = await listed(running)
        await running.client().complete(a_wire_request(model="both"))

    assert [(model.name, model.source, model.description) for model in page.models] == [
        ("both", models_pb2.MODEL_SOURCE_KIND_CONFIGURATION, "Ours."),
        ("proxied", PROXY, ""),
    ]
    assert [(source.kind, source.model_count) for source in page.sources] == [
        (models_pb2.MODEL_SOURCE_KIND_CONFIGURATION, 1),
        (PROXY, 2),
    ]
    assert upstream.requests[-1].body["model"] == "behind"


NO_INFO: Final[Mapping[str, Script]] = {
    "404": lambda upstream: upstream.model_info.fail(404),
    "401": lambda upstream: upstream.model_info.fail(401),
    "403": lambda upstream: upstream.model_info.fail(403),
    "400": lambda upstream: upstream.model_info.fail(400),
    "405": lambda upstream: upstream.model_info.fail(405),
    "HTML": lambda upstream: upstream.model_info.body(b"<html>", content_type="text/html"),
    "{}": lambda upstream: upstream.model_info.body(b"{}"),
    "nothing": lambda upstream: upstream.model_info.body(b""),
    "no models in it": lambda upstream: upstream.model_info.body(b'{"data": [1]}'),
}


@pytest.mark.parametrize("script", NO_INFO.values(), ids=NO_INFO)
async def test_the_plain_list_stands_in(upstream: FakeUpstream, script: Script) -> None:
    """Where there is no usable /model/info, names come from /models; that is no failure."""
    script(upstream)
    upstream.model_list.lists(("gpt", {"mode": "chat", "max_input_tokens": 128_000}), "plain")

    async with behind(upstream) as running:
        page = await listed(running)

    limits = [(model.name, model.limits.context_window_tokens) for model in page.models]
    assert limits == [("gpt", 128_000), ("plain", 0)]
    assert (page.sources[0].stale, page.sources[0].failure) == (False, 0)
    assert asked(upstream) == [INFO, LIST]


async def test_a_redirect_is_not_followed(upstream: FakeUpstream) -> None:
    """The key goes to the address that was configured, and nowhere else."""
    async with FakeUpstream() as elsewhere:
        for listing in (upstream.model_info, upstream.model_list):
            listing.redirect(f"http://127.0.0.1:{elsewhere.port}/v1/models")
        async with behind(upstream, model_entry(upstream.api_base, "m")) as running:
            source = await proxy_source(running)

    assert source.failure == errors_pb2.ERROR_REASON_UPSTREAM_MALFORMED_RESPONSE
    assert elsewhere.connections == 0


def both(status: int, **options: Any) -> Script:
    """Both lists fail with this status."""

    def script(upstream: FakeUpstream) -> None:
        upstream.model_info.fail(status, **options)
        upstream.model_list.fail(status, **options)

    return script


def malformed(upstream: FakeUpstream) -> None:
    """Both lists are something else."""
    upstream.model_info.body(b"<html>")
    upstream.model_list.body(b'{"data": {}}')


def compressed(upstream: FakeUpstream) -> None:
    """Both lists are small, and would be large."""
    upstream.model_info.compressed_bomb(1)
    upstream.model_list.compressed_bomb(1)


FAILURES: Final[Mapping[str, tuple[Script, str]]] = {
    "500": (both(500), "UPSTREAM_ERROR"),
    "503": (both(503), "UPSTREAM_OVERLOADED"),
    "429": (both(429), "UPSTREAM_RATE_LIMITED"),
    "401": (both(401), "UPSTREAM_CREDENTIALS_REJECTED"),
    "403": (both(403), "UPSTREAM_CREDENTIALS_REJECTED"),
    "400 without a database": (both(400, code="no_db_connection"), "UPSTREAM_CREDENTIALS_REJECTED"),
    "404": (both(404), "UPSTREAM_MALFORMED_RESPONSE"),
    "malformed": (malformed, "UPSTREAM_MALFORMED_RESPONSE"),
    "compressed": (compressed, "UPSTREAM_MALFORMED_RESPONSE"),
    "hanging": (lambda upstream: upstream.model_info.hang(), "UPSTREAM_TIMEOUT"),
    "dripping": (lambda upstream: upstream.model_info.drip(0.001), "UPSTREAM_TIMEOUT"),
    "reset": (lambda upstream: upstream.model_info.drop("reset"), "UPSTREAM_UNREACHABLE"),
    "cut": (lambda upstream: upstream.model_info.body(b"{", content_length=9), "UPSTREAM_UNREACHABLE"),
    "closed": (lambda upstream: upstream.close_on_accept(), "UPSTREAM_UNREACHABLE"),
}
"""How a reading fails, and the reason that is told."""
EVERY_FAILURE: Final = pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)


def pace(reason: str) -> dict[str, float]:
    """Settings that let a test see many readings; where they are to take too long, they are not given long."""
    timeout = {"discovery_timeout_seconds": 0.5} if reason == "UPSTREAM_TIMEOUT" else {}
    return {"discovery_ttl_seconds": SOON, **timeout}


async def listed_when(running: RunningServer, *, stale: bool) -> models_pb2.ListModelsResponse:
    """The first list whose source is as fresh as this; a reading that does not reach the proxy tells nobody else."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (page := await listed(running)).sources[0].stale != stale:
            pass
    return page


@EVERY_FAILURE
async def test_a_proxy_that_never_listed_anything(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """Beside models of the configuration it is a stale source with the reason; those models are listed, and answer."""
    script(upstream)

    async with FakeUpstream() as own, behind(upstream, model_entry(own.api_base, "own"), **pace(reason)) as running:
        page = await listed(running)
        answer = await running.client().complete(a_wire_request(model="own"))
        failed = [await failure(call) for call in every_call(running, model="gpt")]
        fallback = await failure(running.stub.Complete(a_wire_request(model="own", fallback_models=["gpt"])))

    assert [model.name for model in page.models] == ["own"]
    assert page.sources[1] == models_pb2.ModelSource(
        kind=PROXY, stale=True, failure=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    )
    assert answer.model == "own"
    assert {told(one) for one in (*failed, fallback)} == {NOT_LISTED}
    assert all(one.metadata == {"model": "gpt"} for one in (*failed, fallback))
    assert len(own.requests) == 1


@EVERY_FAILURE
async def test_a_last_good_list_is_kept(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """It is marked stale, with the reason, and is as old as it is; its models are served; recovery needs no hand."""
    upstream.model_info.lists("a", "b")

    async with behind(upstream, **pace(reason)) as running:
        before = await listed(running)
        script(upstream)
        stale = await listed_when(running, stale=True)
        unknown = await failure(
            running.stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(model="x")))
        )
        route = await running.client().classify(a_wire_request(model="b"))
        upstream.accept()
        upstream.model_info.lists("b", "c")
        after = await listed_when(running, stale=False)

    assert stale.models == before.models
    assert stale.sources[0].failure == errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert before.sources[0].updated_at.ToDatetime() <= stale.sources[0].updated_at.ToDatetime()
    assert stale.sources[0].updated_at.ToDatetime() < after.sources[0].updated_at.ToDatetime()
    assert told(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "x".')
    assert route.model == "b"
    assert [model.name for model in after.models] == ["b", "c"]
    assert (after.sources[0].model_count, after.sources[0].failure) == (2, 0)


@EVERY_FAILURE
async def test_when_nothing_was_ever_known(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """The list, and every call, is UNAVAILABLE, and nobody is told to try again; once listed, all is served."""
    script(upstream)

    async with behind(upstream, **pace(reason)) as running:
        failed = await failure(running.stub.ListModels(models_pb2.ListModelsRequest()))
        unnamed = [await failure(call) for call in every_call(running)]
        upstream.accept()
        upstream.model_info.lists("m")
        await renewed(upstream)
        answer = await running.client().complete(a_wire_request())

    assert {told(one) for one in (failed, *unnamed)} == {NOT_LISTED}
    assert failed.metadata == {}
    assert failed.retry_after_seconds is None
    assert failed.interruption is None
    assert answer.model == "m"


async def test_a_proxy_that_refuses_and_then_comes_up() -> None:
    """The server starts, is healthy, and finds the proxy when it is there, long before a good list would be renewed."""
    with refusing_api_base() as nowhere:
        port = int(nowhere.removesuffix("/v1").rpartition(":")[2])
    later = FakeUpstream(port)
    later.model_info.lists("m")

    config = config_for(
        model_entry("http://127.0.0.1:9/v1", "own"), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{port}")
    )
    async with serving(config) as running:
        failed = await failure(running.stub.Complete(a_wire_request(model="m")))
        health: Any = health_pb2_grpc.HealthStub(running.channel)
        checks = [await health.Check(health_pb2.HealthCheckRequest(service=name)) for name in ("", "readiness")]
        async with later:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await proxy_source(running)).stale:
                    pass
            answer = await running.client().complete(a_wire_request(model="m"))

    assert told(failed) == NOT_LISTED
    assert [check.status for check in checks] == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert answer.model == "m"


async def test_a_proxy_without_models(upstream: FakeUpstream) -> None:
    """An empty list is a list: nothing is stale, no model is there, and none is the default."""
    upstream.model_info.lists()

    async with behind(upstream) as running:
        page = await listed(running)
        unknown = await failure(running.stub.Complete(a_wire_request(model="gpt")))
        unnamed = await failure(running.stub.Complete(a_wire_request()))

    assert (len(page.models), page.next_page_token) == (0, "")
    assert (page.sources[0].model_count, page.sources[0].stale) == (0, False)
    assert page.sources[0].HasField("updated_at")
    assert told(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "gpt".')
    assert unnamed.violations == (FieldViolation("model", "It is required: the server has no default model."),)
    assert asked(upstream) == [INFO]


async def test_a_hundred_callers_cost_one_request(upstream: FakeUpstream) -> None:
    """All wait for the first reading, and get the same answer; so do calls that name a model."""
    gate = upstream.model_info.lists("a", "b", gated=True)

    async with behind(upstream) as running:
        lists = [asyncio.ensure_future(listed(running)) for _ in range(100)]
        calls = [asyncio.ensure_future(running.client().classify(a_wire_request(model="b"))) for _ in range(10)]
        while running.server.calls_in_flight < 110:  # noqa: ASYNC110 - it tells nobody how many there are
            await asyncio.sleep(0)
        gate.open_all()
        pages = await asyncio.gather(*lists)
        routes = await asyncio.gather(*calls)

    assert {page.SerializeToString(deterministic=True) for page in pages} == {
        pages[0].SerializeToString(deterministic=True)
    }
    assert [model.name for model in pages[0].models] == ["a", "b"]
    assert {route.model for route in routes} == {"b"}
    assert asked(upstream) == [INFO]
    assert upstream.connections == 1


async def test_the_first_list_is_waited_for_no_longer_than_the_caller_waits(upstream: FakeUpstream) -> None:
    """A deadline ends the waiting of one caller, and neither the reading nor the others."""
    gate = upstream.model_info.lists("a", gated=True)

    async with behind(upstream) as running:
        patient = asyncio.ensure_future(listed(running))
        hasty: Any = running.stub.ListModels(models_pb2.ListModelsRequest(), timeout=0.1)
        failed = await failure(hasty)
        gate.open_all()
        page = await patient

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert [model.name for model in page.models] == ["a"]
    assert asked(upstream) == [INFO]


async def test_nobody_waits_for_a_list_that_is_renewed(upstream: FakeUpstream) -> None:
    """While the proxy takes its time, what was listed before is listed, and not stale: nothing has failed."""
    upstream.model_info.lists("a")

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        await listed(running)
        gate = upstream.model_info.lists("b", gated=True)
        await upstream.request(len(upstream.requests) + 1)
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            meanwhile = await listed(running)
        gate.open_all()
        await renewed(upstream)
        after = await listed(running)

    assert [model.name for model in meanwhile.models] == ["a"]
    assert not meanwhile.sources[0].stale
    assert [model.name for model in after.models] == ["b"]


async def test_a_configured_model_waits_for_no_proxy(upstream: FakeUpstream) -> None:
    """A call that names it, or whose default it is, is served while the first reading hangs."""
    upstream.model_info.hang()

    async with behind(upstream, model_entry(upstream.api_base, "own"), default_model="own") as running:
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            routes = [await running.client().classify(a_wire_request(model=name)) for name in ("own", "")]

    assert [route.model for route in routes] == ["own", "own"]


async def test_pages_go_on_across_a_renewal(upstream: FakeUpstream) -> None:
    """A token of the old list leads on in the new one: nothing is hidden, nothing comes twice, and it is the same."""
    upstream.model_info.lists("d", "b", "a", "c")

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        first = await listed(running, page_size=2)
        upstream.model_info.lists("a", "aa", "c", "cc", "d")
        await renewed(upstream)
        second = await listed(running, page_size=2, page_token=first.next_page_token)
        third = await listed(running, page_size=2, page_token=second.next_page_token)
        again = await listed(running, page_size=2)

    pages = [[model.name for model in page.models] for page in (first, second, third, again)]
    assert pages == [["a", "b"], ["c", "cc"], ["d"], ["a", "aa"]]
    assert third.next_page_token == ""


async def test_models_of_the_proxy_are_filtered(upstream: FakeUpstream) -> None:
    """By name, and by what the proxy says they can do."""
    tools = {"supports_function_calling": True}
    upstream.model_info.lists(("team/a", tools | {"supports_reasoning": True}), ("team/b", tools), "other")
    wanted = [models_pb2.MODEL_CAPABILITY_TOOLS, models_pb2.MODEL_CAPABILITY_REASONING]

    async with behind(upstream) as running:
        by_name = await names(running, filter=models_pb2.ModelFilter(name_contains="TEAM"))
        by_one = await names(running, filter=models_pb2.ModelFilter(capabilities=wanted[:1]))
        by_both = await names(running, filter=models_pb2.ModelFilter(capabilities=wanted))

    assert (by_name, by_one, by_both) == (["team/a", "team/b"], ["team/a", "team/b"], ["team/a"])


async def test_a_caller_sees_and_uses_its_models_alone(upstream: FakeUpstream) -> None:
    """`allowed_models` may name models of the proxy; of the others not even a name is hinted at."""
    upstream.model_info.lists("gpt-large", "gpt-small")
    callers = {"bob": CallerEntry(name="bob", token_hash=hash_token("t"), allowed_models=frozenset({"gpt-small"}))}

    async with behind(upstream, callers=callers) as running:
        stub: Any = running.stub
        metadata = (("authorization", "Bearer t"),)
        page = await stub.ListModels(models_pb2.ListModelsRequest(), metadata=metadata)
        refused = await failure(stub.Complete(a_wire_request(model="gpt-large"), metadata=metadata))
        unknown = await failure(stub.Complete(a_wire_request(model="gpt-larg"), metadata=metadata))
        answer = await stub.Complete(a_wire_request(model="gpt-small"), metadata=metadata)

    assert [model.name for model in page.models] == ["gpt-small"]
    assert page.sources[0].model_count == 2
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert (unknown.reason, unknown.metadata) == ("MODEL_NOT_FOUND", {"model": "gpt-larg", "nearest": "gpt-small"})
    assert answer.model == "gpt-small"


async def test_the_only_model_is_the_default(upstream: FakeUpstream) -> None:
    """As long as it is the only one: with two, a request has to name one."""
    upstream.model_info.lists("m")

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        only = await listed(running)
        route = await running.client().classify(a_wire_request())
        upstream.model_info.lists("m", "n")
        await renewed(upstream)
        two = await listed(running)
        failed = [await failure(call) for call in every_call(running)]

    assert [(model.name, model.is_default) for model in only.models] == [("m", True)]
    assert route.model == "m"
    assert [(model.name, model.is_default) for model in two.models] == [("m", False), ("n", False)]
    assert {(one.code, one.reason, one.violations) for one in failed} == {
        (
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_FIELD",
            (FieldViolation("model", "It is required: the server has no default model."),),
        )
    }


async def test_the_default_may_be_a_model_of_the_proxy(upstream: FakeUpstream) -> None:
    """`default_model` names it before anybody knows that it is there."""
    upstream.model_info.lists("m", "n")

    async with behind(upstream, default_model="n") as running:
        page = await listed(running)
        answer = await running.client().complete(a_wire_request())

    assert [(model.name, model.is_default) for model in page.models] == [("m", False), ("n", True)]
    assert answer.model == "n"


async def test_a_model_of_the_proxy_is_a_fallback(upstream: FakeUpstream) -> None:
    """A configured model may fall back on the proxy's; one that the proxy does not have is passed over."""
    upstream.model_info.lists("spare")

    async with FakeUpstream() as own:
        own.always.fail(500)
        entry = model_entry(own.api_base, "own", fallback_models=("gone", "spare"))
        async with behind(upstream, entry, max_retries=0) as running:
            await listed(running)
            answer = await running.client().complete(a_wire_request(model="own"))

    assert answer.model == "spare"
    assert [attempt.model for attempt in answer.attempts] == ["own", "spare"]


async def test_a_model_may_leave_while_it_answers(upstream: FakeUpstream) -> None:
    """The call goes on to its end, and costs what it would have cost; the next one does not find it."""
    upstream.model_info.lists(("m", {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}))
    gate = upstream.gated("Hello")

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        answering = asyncio.ensure_future(running.client().complete(a_wire_request(model="m")))
        gate.open()
        await gate.sent(1)
        upstream.model_info.lists("n")
        await renewed(upstream)
        gate.open()
        answer = await answering
        failed = await failure(running.stub.Complete(a_wire_request(model="m")))

    assert answer.cost.total_nano_usd == 11 * 1000 + 7 * 2000
    assert failed.reason == "MODEL_NOT_FOUND"


async def test_lists_and_calls_share_few_connections(upstream: FakeUpstream) -> None:
    """One for all lists, and one for calls that follow each other, of whatever caller."""
    upstream.model_info.fail(404)
    upstream.model_list.lists("m")

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        for _ in range(20):
            await running.client().complete(a_wire_request(model="m"))
        await renewed(upstream)

    assert len(upstream.requests) > 20 + 4
    assert upstream.connections == 2


async def test_stopping_ends_a_reading(upstream: FakeUpstream) -> None:
    """A server that stops leaves no reading behind: the proxy sees it go."""
    upstream.model_info.hang()
    server = Server(config_for(proxy=proxy_entry(upstream)))
    await server.start()
    await upstream.request()

    await server.stop(grace_seconds=0)

    assert (await upstream.disconnect()).path == INFO[1]
    await upstream.all_closed()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "model-discovery"] == []


ALICE: Final = "sk-virtual-alice"
BOB: Final = "sk-virtual-bob"


def virtual_callers() -> dict[str, CallerEntry]:
    """Alice and Bob, whose calls use keys of their own, and Eve, whose calls use the server's."""
    keys = {"alice": Secret(ALICE), "bob": Secret(BOB), "eve": None}
    return {name: CallerEntry(name=name, token_hash=hash_token(name), upstream_key=key) for name, key in keys.items()}


def bearer(name: str) -> tuple[tuple[str, str], ...]:
    """The metadata of a caller."""
    return (("authorization", f"Bearer {name}"),)


async def test_a_caller_brings_its_own_key(upstream: FakeUpstream) -> None:
    """It goes with each call through the proxy, with no other, over the connection that all share."""
    upstream.model_info.lists("m")
    entries = (
        model_entry(upstream.api_base, "configured", litellm_model="litellm_proxy/m"),
        model_entry(upstream.api_base, "direct"),
    )

    async with behind(upstream, *entries, callers=virtual_callers()) as running:
        stub: Any = running.stub
        for model in ("m", "configured", "direct"):
            for caller in ("alice", "bob", "eve", "alice"):
                await stub.Complete(a_wire_request(model=model), metadata=bearer(caller))

    info, *calls = upstream.requests
    assert info.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"
    through_the_proxy = [f"Bearer {key}" for key in (ALICE, BOB, UPSTREAM_KEY, ALICE)]
    assert [call.headers["Authorization"] for call in calls] == [
        *through_the_proxy,
        *through_the_proxy,
        *[f"Bearer {UPSTREAM_KEY}"] * 4,
    ]
    assert upstream.connections == 2


@pytest.mark.parametrize(
    ("status", "options"),
    [(401, {}), (403, {}), (400, {"code": "no_db_connection"})],
    ids=["401", "403", "no database"],
)
async def test_a_callers_key_that_is_refused(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, status: int, options: dict[str, Any]
) -> None:
    """It is the caller's to mend, is asked for once, and is nowhere told; the server's own is the operator's."""
    caplog.set_level(logging.DEBUG)
    upstream.model_info.lists("m", "spare")
    upstream.always.fail(status, **options)

    async with behind(upstream, callers=virtual_callers()) as running:
        stub: Any = running.stub
        request = a_wire_request(model="m", fallback_models=["spare"])
        refused = await failure(stub.Complete(request, metadata=bearer("alice")))
        calls = len(upstream.requests)
        servers = await failure(stub.Complete(a_wire_request(model="m"), metadata=bearer("eve")))

    assert told(refused) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "UPSTREAM_KEY_REJECTED",
        'The upstream of the model "m" refused the caller\'s key.',
    )
    assert calls == 2
    assert (servers.code, servers.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED")
    logged = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    for secret in (ALICE, BOB, UPSTREAM_KEY):
        assert secret not in logged
        assert secret not in str((refused, refused.metadata, refused.__cause__))


async def test_what_fails_is_logged_once(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """One line when a failure begins, one when it changes, one when it is over, however often it was tried."""
    caplog.set_level(logging.INFO, logger="reasoning_grpc.discovery")
    upstream.model_info.fail(500)

    async with behind(upstream, discovery_ttl_seconds=SOON) as running:
        await renewed(upstream)
        upstream.model_info.fail(503)
        await renewed(upstream)
        upstream.model_info.lists("m")
        await renewed(upstream)
        await listed(running)

    lines = [(record.levelname, record.message, vars(record).get("reason")) for record in caplog.records]
    assert lines == [
        ("WARNING", "the proxy does not list its models", "UPSTREAM_ERROR"),
        ("WARNING", "the proxy does not list its models", "UPSTREAM_OVERLOADED"),
        ("INFO", "the proxy lists its models again", None),
    ]


class BrokenListing:
    """A list whose reading fails as nobody foresaw."""

    def __init__(self) -> None:
        self.readings = 0
        self.closed = False
        self.read_twice = asyncio.Event()

    async def read(self) -> Mapping[str, ServedModel]:
        """See `ModelListing.read`."""
        self.readings += 1
        if self.readings == 2:
            self.read_twice.set()
        raise ZeroDivisionError("sk-secret")

    async def aclose(self) -> None:
        """See `ModelListing.aclose`."""
        self.closed = True


async def test_a_fault_of_our_own_does_not_end_the_reading(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, told as INTERNAL, and the next reading comes all the same."""
    listing = BrokenListing()
    models = ProxyModels(listing, ttl_seconds=SOON)

    models.start()
    await models.wait_for_first_reading()
    await listing.read_twice.wait()
    status = models.get_status()
    await models.aclose()

    assert (status.kind, status.model_count, status.updated_at) == (ModelSourceKind.PROXY, 0, None)
    assert (status.stale, status.failure) == (True, "INTERNAL")
    assert listing.closed
    assert caplog.records[0].exc_info is not None
