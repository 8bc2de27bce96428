"""The models that a LiteLLM proxy lists are read in the background, kept when it fails, and served through it."""

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
"""An interval between readings that lets a test see many of them."""
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
async def serving_behind(upstream: FakeUpstream, *entries: Any, **options: Any) -> AsyncIterator[RunningServer]:
    """Runs a server whose LiteLLM proxy is the fake upstream, with these models of the configuration."""
    options = {"proxy": proxy_entry(upstream), "default_model": "", **options}
    async with serving(config_for(*entries, **options)) as running:
        yield running


async def list_page(running: RunningServer, **fields: Any) -> models_pb2.ListModelsResponse:
    """Returns one page of the list."""
    stub: Any = running.stub
    page: models_pb2.ListModelsResponse = await stub.ListModels(models_pb2.ListModelsRequest(**fields))
    return page


async def list_names(running: RunningServer, **fields: Any) -> list[str]:
    """Returns the names on one page of the list."""
    return [model.name for model in (await list_page(running, **fields)).models]


async def get_proxy_source(running: RunningServer) -> models_pb2.ModelSource:
    """Returns what the list reports about the proxy as a source."""
    (source,) = [source for source in (await list_page(running)).sources if source.kind == PROXY]
    return source


async def expect_failure(call: Any) -> CallFailed:
    """Awaits a call that must fail, and returns its failure."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return CallFailed(failed.value)


def describe(failed: CallFailed) -> tuple[grpc.StatusCode, str, str]:
    """Returns the code, the reason and the message of a failure."""
    return failed.code, failed.reason, failed.message


def list_requests(upstream: FakeUpstream) -> list[tuple[str, str]]:
    """Returns the method and path of every request to the fake upstream so far."""
    return [(request.method, request.path) for request in upstream.requests]


async def wait_for_reading(upstream: FakeUpstream) -> None:
    """Waits until a reading that begins now has ended; each sends at most two requests, one after the other."""
    await upstream.request(len(upstream.requests) + 3)


def start_every_call(running: RunningServer, **fields: Any) -> list[Any]:
    """Starts one call of each method that names a model."""
    classify = classification_pb2.ClassifyRequest(request=a_wire_request(**fields))
    return [
        running.stub.Complete(a_wire_request(**fields)),
        read_to_end(running.stub.StreamComplete(a_stream_request(**fields))),
        running.stub.Classify(classify),
    ]


async def read_to_end(stream: Any) -> None:
    """Reads a stream to its end."""
    async for _ in stream:
        pass


async def test_a_model_of_the_proxy_is_listed_with_its_facts(upstream: FakeUpstream) -> None:
    """The list has the proxy's facts about a model and the time of the reading, but no addresses and keys."""
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

    async with serving_behind(upstream) as running:
        page = await list_page(running)

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
                base=models_pb2.TokenPrices(
                    input_nano_usd_per_million=800_000_000,
                    output_nano_usd_per_million=4_000_000_000,
                    cached_input_nano_usd_per_million=80_000_000,
                    cache_write_nano_usd_per_million=1_000_000_000,
                )
            ),
        ),
    ]
    (source,) = page.sources
    assert (source.kind, source.model_count, source.stale, source.failure) == (PROXY, 2, False, 0)
    assert before <= source.update_time.ToDatetime(UTC) <= datetime.now(UTC)
    (request,) = upstream.requests
    assert (request.method, request.path, request.raw) == (*INFO, b"")
    assert request.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_without_a_key_no_key_is_sent(upstream: FakeUpstream) -> None:
    """A proxy without a configured key gets no key, neither with the list nor with a call."""
    upstream.model_info.lists("m")

    async with serving_behind(upstream, proxy=ProxyEntry(base_url=f"http://127.0.0.1:{upstream.port}")) as running:
        await running.client().complete(a_wire_request())

    assert list_requests(upstream) == [INFO, CHAT]
    assert all("Authorization" not in request.headers for request in upstream.requests)


@pytest.mark.parametrize("name", ["gpt", "team/gpt", "openai/gpt-4o", "litellm_proxy/x", "a:b@c"])
async def test_a_model_of_the_proxy_answers(upstream: FakeUpstream, name: str) -> None:
    """The proxy gets exactly the name that it listed, and its prices make the cost."""
    upstream.model_info.lists((name, {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}))
    upstream.reply("Hello")

    async with serving_behind(upstream) as running:
        answer = await running.client().complete(a_wire_request(model=name))

    assert (answer.model, answer.message.content[0].text) == (name, "Hello")
    assert answer.cost.total_nano_usd == 11 * 1000 + 7 * 2000
    assert list_requests(upstream) == [INFO, CHAT]
    assert upstream.requests[1].body["model"] == name
    assert upstream.requests[1].headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


async def test_a_capability_that_a_model_lacks_is_refused(upstream: FakeUpstream) -> None:
    """A request that needs a capability which the proxy denies is refused; an unknown capability is requested."""
    upstream.model_info.lists(("no", {"supports_reasoning": False}), "unknown")
    reasoning = completion_pb2.ReasoningOptions(effort=completion_pb2.REASONING_EFFORT_LOW)

    async with serving_behind(upstream) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="no", reasoning=reasoning)))
        await running.client().complete(a_wire_request(model="unknown", reasoning=reasoning))

    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert failed.violations == (FieldViolation("reasoning.effort", "The model no cannot do it."),)
    assert list_requests(upstream) == [INFO, CHAT]


async def test_the_configuration_wins_over_the_proxy(upstream: FakeUpstream) -> None:
    """A name that both sources have is listed and reached as the configuration says."""
    upstream.model_info.lists("both", "proxied")
    entry = model_entry(upstream.api_base, "both", litellm_model="litellm_proxy/behind", description="Ours.")

    async with serving_behind(upstream, entry) as running:
        page = await list_page(running)
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
    """Without a usable /model/info the names come from /models, and the source is not stale."""
    script(upstream)
    upstream.model_list.lists(("gpt", {"mode": "chat", "max_input_tokens": 128_000}), "plain")

    async with serving_behind(upstream) as running:
        page = await list_page(running)

    limits = [(model.name, model.limits.context_window_tokens) for model in page.models]
    assert limits == [("gpt", 128_000), ("plain", 0)]
    assert (page.sources[0].stale, page.sources[0].failure) == (False, 0)
    assert list_requests(upstream) == [INFO, LIST]


async def test_a_redirect_is_not_followed(upstream: FakeUpstream) -> None:
    """The key is sent only to the configured address."""
    async with FakeUpstream() as elsewhere:
        for listing in (upstream.model_info, upstream.model_list):
            listing.redirect(f"http://127.0.0.1:{elsewhere.port}/v1/models")
        async with serving_behind(upstream, model_entry(upstream.api_base, "m")) as running:
            source = await get_proxy_source(running)

    assert source.failure == errors_pb2.ERROR_REASON_UPSTREAM_MALFORMED_RESPONSE
    assert elsewhere.connections == 0


def fail_both(status: int, **options: Any) -> Script:
    """Returns a script with which both lists fail with this status."""

    def script(upstream: FakeUpstream) -> None:
        upstream.model_info.fail(status, **options)
        upstream.model_list.fail(status, **options)

    return script


def answer_nonsense(upstream: FakeUpstream) -> None:
    """Makes both lists answer something that is not a list."""
    upstream.model_info.body(b"<html>")
    upstream.model_list.body(b'{"data": {}}')


def answer_compressed(upstream: FakeUpstream) -> None:
    """Makes both lists answer a small body that would be large when decompressed."""
    upstream.model_info.compressed_bomb(1)
    upstream.model_list.compressed_bomb(1)


FAILURES: Final[Mapping[str, tuple[Script, str]]] = {
    "500": (fail_both(500), "UPSTREAM_ERROR"),
    "503": (fail_both(503), "UPSTREAM_OVERLOADED"),
    "429": (fail_both(429), "UPSTREAM_RATE_LIMITED"),
    "401": (fail_both(401), "UPSTREAM_CREDENTIALS_REJECTED"),
    "403": (fail_both(403), "UPSTREAM_CREDENTIALS_REJECTED"),
    "400 without a database": (fail_both(400, code="no_db_connection"), "UPSTREAM_CREDENTIALS_REJECTED"),
    "404": (fail_both(404), "UPSTREAM_MALFORMED_RESPONSE"),
    "malformed": (answer_nonsense, "UPSTREAM_MALFORMED_RESPONSE"),
    "compressed": (answer_compressed, "UPSTREAM_MALFORMED_RESPONSE"),
    "hanging": (lambda upstream: upstream.model_info.hang(), "UPSTREAM_TIMEOUT"),
    "dripping": (lambda upstream: upstream.model_info.drip(0.001), "UPSTREAM_TIMEOUT"),
    "reset": (lambda upstream: upstream.model_info.drop("reset"), "UPSTREAM_UNREACHABLE"),
    "cut": (lambda upstream: upstream.model_info.body(b"{", content_length=9), "UPSTREAM_UNREACHABLE"),
    "closed": (lambda upstream: upstream.close_on_accept(), "UPSTREAM_UNREACHABLE"),
}
"""The ways in which a reading fails, each with the reason that is reported."""
EVERY_FAILURE: Final = pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)


def build_pace(reason: str) -> dict[str, float]:
    """Returns settings that let a test see many readings, with a short timeout when readings must time out."""
    timeout = {"discovery_timeout_seconds": 0.5} if reason == "UPSTREAM_TIMEOUT" else {}
    return {"discovery_ttl_seconds": SOON, **timeout}


async def wait_for_list(running: RunningServer, *, stale: bool) -> models_pb2.ListModelsResponse:
    """Waits for a list whose source is stale or not; no event reports a reading that does not reach the proxy."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (page := await list_page(running)).sources[0].stale != stale:
            pass
    return page


@EVERY_FAILURE
async def test_a_proxy_that_never_listed_anything(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """A proxy that never listed a model is a stale source; the models of the configuration are listed and answer."""
    script(upstream)

    async with (
        FakeUpstream() as own,
        serving_behind(upstream, model_entry(own.api_base, "own"), **build_pace(reason)) as running,
    ):
        page = await list_page(running)
        answer = await running.client().complete(a_wire_request(model="own"))
        failed = [await expect_failure(call) for call in start_every_call(running, model="gpt")]
        fallback = await expect_failure(running.stub.Complete(a_wire_request(model="own", fallback_models=["gpt"])))

    assert [model.name for model in page.models] == ["own"]
    assert page.sources[1] == models_pb2.ModelSource(
        kind=PROXY, stale=True, failure=errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    )
    assert answer.model == "own"
    assert {describe(one) for one in (*failed, fallback)} == {NOT_LISTED}
    assert all(one.metadata == {"model": "gpt"} for one in (*failed, fallback))
    assert len(own.requests) == 1


@EVERY_FAILURE
async def test_a_last_good_list_is_kept(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """After a failure the last list is kept, marked as stale with the reason, and served until a reading succeeds."""
    upstream.model_info.lists("a", "b")

    async with serving_behind(upstream, **build_pace(reason)) as running:
        before = await list_page(running)
        script(upstream)
        stale = await wait_for_list(running, stale=True)
        unknown = await expect_failure(
            running.stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(model="x")))
        )
        route = await running.client().classify(a_wire_request(model="b"))
        upstream.accept()
        upstream.model_info.lists("b", "c")
        after = await wait_for_list(running, stale=False)

    assert stale.models == before.models
    assert stale.sources[0].failure == errors_pb2.ErrorReason.Value(f"ERROR_REASON_{reason}")
    assert before.sources[0].update_time.ToDatetime() <= stale.sources[0].update_time.ToDatetime()
    assert stale.sources[0].update_time.ToDatetime() < after.sources[0].update_time.ToDatetime()
    assert describe(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "x".')
    assert route.model == "b"
    assert [model.name for model in after.models] == ["b", "c"]
    assert (after.sources[0].model_count, after.sources[0].failure) == (2, 0)


@EVERY_FAILURE
async def test_without_any_list_calls_are_unavailable(upstream: FakeUpstream, script: Script, reason: str) -> None:
    """Before the first list every call is UNAVAILABLE without a retry delay; after it calls are served."""
    script(upstream)

    async with serving_behind(upstream, **build_pace(reason)) as running:
        failed = await expect_failure(running.stub.ListModels(models_pb2.ListModelsRequest()))
        unnamed = [await expect_failure(call) for call in start_every_call(running)]
        upstream.accept()
        upstream.model_info.lists("m")
        await wait_for_reading(upstream)
        answer = await running.client().complete(a_wire_request())

    assert {describe(one) for one in (failed, *unnamed)} == {NOT_LISTED}
    assert failed.metadata == {}
    assert failed.retry_after_seconds is None
    assert failed.interruption is None
    assert answer.model == "m"


async def test_a_proxy_that_starts_later_is_found() -> None:
    """The server starts without the proxy, is healthy, and finds it long before the next regular reading."""
    with refusing_api_base() as nowhere:
        port = int(nowhere.removesuffix("/v1").rpartition(":")[2])
    later = FakeUpstream(port)
    later.model_info.lists("m")

    config = config_for(
        model_entry("http://127.0.0.1:9/v1", "own"), proxy=ProxyEntry(base_url=f"http://127.0.0.1:{port}")
    )
    async with serving(config) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="m")))
        health: Any = health_pb2_grpc.HealthStub(running.channel)
        checks = [await health.Check(health_pb2.HealthCheckRequest(service=name)) for name in ("", "readiness")]
        async with later:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (await get_proxy_source(running)).stale:
                    pass
            answer = await running.client().complete(a_wire_request(model="m"))

    assert describe(failed) == NOT_LISTED
    assert [check.status for check in checks] == [health_pb2.HealthCheckResponse.SERVING] * 2
    assert answer.model == "m"


async def test_a_proxy_without_models_is_not_stale(upstream: FakeUpstream) -> None:
    """An empty list is a successful reading: the source is not stale, and there is no model and no default."""
    upstream.model_info.lists()

    async with serving_behind(upstream) as running:
        page = await list_page(running)
        unknown = await expect_failure(running.stub.Complete(a_wire_request(model="gpt")))
        unnamed = await expect_failure(running.stub.Complete(a_wire_request()))

    assert (len(page.models), page.next_page_token) == (0, "")
    assert (page.sources[0].model_count, page.sources[0].stale) == (0, False)
    assert page.sources[0].HasField("update_time")
    assert describe(unknown) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", 'There is no model "gpt".')
    assert unnamed.violations == (FieldViolation("model", "It is required: the server has no default model."),)
    assert list_requests(upstream) == [INFO]


async def test_a_hundred_callers_cost_one_request(upstream: FakeUpstream) -> None:
    """All callers wait for the same first reading and get the same answer, also calls that name a model."""
    gate = upstream.model_info.lists("a", "b", gated=True)

    async with serving_behind(upstream) as running:
        lists = [asyncio.ensure_future(list_page(running)) for _ in range(100)]
        calls = [asyncio.ensure_future(running.client().classify(a_wire_request(model="b"))) for _ in range(10)]
        while running.server.calls_in_flight < 110:  # noqa: ASYNC110 - no event reports the number of calls
            await asyncio.sleep(0)
        gate.open_all()
        pages = await asyncio.gather(*lists)
        routes = await asyncio.gather(*calls)

    assert {page.SerializeToString(deterministic=True) for page in pages} == {
        pages[0].SerializeToString(deterministic=True)
    }
    assert [model.name for model in pages[0].models] == ["a", "b"]
    assert {route.model for route in routes} == {"b"}
    assert list_requests(upstream) == [INFO]
    assert upstream.connections == 1


async def test_a_deadline_ends_the_wait_for_the_first_list(upstream: FakeUpstream) -> None:
    """The deadline of one caller ends its own wait, but not the reading or the wait of others."""
    gate = upstream.model_info.lists("a", gated=True)

    async with serving_behind(upstream) as running:
        patient = asyncio.ensure_future(list_page(running))
        hasty: Any = running.stub.ListModels(models_pb2.ListModelsRequest(), timeout=0.1)
        failed = await expect_failure(hasty)
        gate.open_all()
        page = await patient

    assert (failed.code, failed.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "")
    assert [model.name for model in page.models] == ["a"]
    assert list_requests(upstream) == [INFO]


async def test_callers_do_not_wait_for_a_later_reading(upstream: FakeUpstream) -> None:
    """During a later reading the last list is served, and is not stale."""
    upstream.model_info.lists("a")

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        await list_page(running)
        gate = upstream.model_info.lists("b", gated=True)
        await upstream.request(len(upstream.requests) + 1)
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            meanwhile = await list_page(running)
        gate.open_all()
        await wait_for_reading(upstream)
        after = await list_page(running)

    assert [model.name for model in meanwhile.models] == ["a"]
    assert not meanwhile.sources[0].stale
    assert [model.name for model in after.models] == ["b"]


async def test_a_configured_model_does_not_wait_for_the_proxy(upstream: FakeUpstream) -> None:
    """A call of a configured model, by name or by default, is served while the first reading hangs."""
    upstream.model_info.hang()

    async with serving_behind(upstream, model_entry(upstream.api_base, "own"), default_model="own") as running:
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            routes = [await running.client().classify(a_wire_request(model=name)) for name in ("own", "")]

    assert [route.model for route in routes] == ["own", "own"]


async def test_pages_continue_across_a_reading(upstream: FakeUpstream) -> None:
    """A page token of the old list continues in the new one, which neither hides nor repeats a model."""
    upstream.model_info.lists("d", "b", "a", "c")

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        first = await list_page(running, page_size=2)
        upstream.model_info.lists("a", "aa", "c", "cc", "d")
        await wait_for_reading(upstream)
        second = await list_page(running, page_size=2, page_token=first.next_page_token)
        third = await list_page(running, page_size=2, page_token=second.next_page_token)
        again = await list_page(running, page_size=2)

    pages = [[model.name for model in page.models] for page in (first, second, third, again)]
    assert pages == [["a", "b"], ["c", "cc"], ["d"], ["a", "aa"]]
    assert third.next_page_token == ""


async def test_models_of_the_proxy_are_filtered(upstream: FakeUpstream) -> None:
    """The proxy's models are filtered by name and by their capabilities."""
    tools = {"supports_function_calling": True}
    upstream.model_info.lists(("team/a", tools | {"supports_reasoning": True}), ("team/b", tools), "other")
    wanted = [models_pb2.MODEL_CAPABILITY_TOOLS, models_pb2.MODEL_CAPABILITY_REASONING]

    async with serving_behind(upstream) as running:
        by_name = await list_names(running, filter=models_pb2.ModelFilter(name_contains="TEAM"))
        by_one = await list_names(running, filter=models_pb2.ModelFilter(capabilities=wanted[:1]))
        by_both = await list_names(running, filter=models_pb2.ModelFilter(capabilities=wanted))

    assert (by_name, by_one, by_both) == (["team/a", "team/b"], ["team/a", "team/b"], ["team/a"])


async def test_a_caller_sees_and_uses_only_its_models(upstream: FakeUpstream) -> None:
    """`allowed_models` may name models of the proxy, and no error suggests the name of another model."""
    upstream.model_info.lists("gpt-large", "gpt-small")
    callers = {"bob": CallerEntry(name="bob", token_hash=hash_token("t"), allowed_models=frozenset({"gpt-small"}))}

    async with serving_behind(upstream, callers=callers) as running:
        stub: Any = running.stub
        metadata = (("authorization", "Bearer t"),)
        page = await stub.ListModels(models_pb2.ListModelsRequest(), metadata=metadata)
        refused = await expect_failure(stub.Complete(a_wire_request(model="gpt-large"), metadata=metadata))
        unknown = await expect_failure(stub.Complete(a_wire_request(model="gpt-larg"), metadata=metadata))
        answer = await stub.Complete(a_wire_request(model="gpt-small"), metadata=metadata)

    assert [model.name for model in page.models] == ["gpt-small"]
    assert page.sources[0].model_count == 2
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "MODEL_NOT_ALLOWED")
    assert (unknown.reason, unknown.metadata) == ("MODEL_NOT_FOUND", {"model": "gpt-larg", "nearest": "gpt-small"})
    assert answer.model == "gpt-small"


async def test_the_only_model_is_the_default(upstream: FakeUpstream) -> None:
    """The only model is the default; when there are two, a request has to name one."""
    upstream.model_info.lists("m")

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        only = await list_page(running)
        route = await running.client().classify(a_wire_request())
        upstream.model_info.lists("m", "n")
        await wait_for_reading(upstream)
        two = await list_page(running)
        failed = [await expect_failure(call) for call in start_every_call(running)]

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
    """`default_model` may name a model of the proxy before the first reading."""
    upstream.model_info.lists("m", "n")

    async with serving_behind(upstream, default_model="n") as running:
        page = await list_page(running)
        answer = await running.client().complete(a_wire_request())

    assert [(model.name, model.is_default) for model in page.models] == [("m", False), ("n", True)]
    assert answer.model == "n"


async def test_a_model_of_the_proxy_is_a_fallback(upstream: FakeUpstream) -> None:
    """A configured model may fall back on a model of the proxy; a fallback that does not exist is skipped."""
    upstream.model_info.lists("spare")

    async with FakeUpstream() as own:
        own.always.fail(500)
        entry = model_entry(own.api_base, "own", fallback_models=("gone", "spare"))
        async with serving_behind(upstream, entry, max_retries=0) as running:
            await list_page(running)
            answer = await running.client().complete(a_wire_request(model="own"))

    assert answer.model == "spare"
    assert [attempt.model for attempt in answer.attempts] == ["own", "spare"]


async def test_a_model_may_disappear_while_it_answers(upstream: FakeUpstream) -> None:
    """A call in progress ends well with its cost when its model disappears; the next call does not find the model."""
    upstream.model_info.lists(("m", {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}))
    gate = upstream.gated("Hello")

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        answering = asyncio.ensure_future(running.client().complete(a_wire_request(model="m")))
        gate.open()
        await gate.sent(1)
        upstream.model_info.lists("n")
        await wait_for_reading(upstream)
        gate.open()
        answer = await answering
        failed = await expect_failure(running.stub.Complete(a_wire_request(model="m")))

    assert answer.cost.total_nano_usd == 11 * 1000 + 7 * 2000
    assert failed.reason == "MODEL_NOT_FOUND"


async def test_lists_and_calls_share_few_connections(upstream: FakeUpstream) -> None:
    """All lists share one connection, and sequential calls share another."""
    upstream.model_info.fail(404)
    upstream.model_list.lists("m")

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        for _ in range(20):
            await running.client().complete(a_wire_request(model="m"))
        await wait_for_reading(upstream)

    assert len(upstream.requests) > 20 + 4
    assert upstream.connections == 2


async def test_stopping_ends_a_reading(upstream: FakeUpstream) -> None:
    """A server that stops cancels a reading in progress, and the proxy sees the disconnect."""
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


def build_callers() -> dict[str, CallerEntry]:
    """Returns Alice and Bob, whose calls use their own keys, and Eve, whose calls use the server's key."""
    keys = {"alice": Secret(ALICE), "bob": Secret(BOB), "eve": None}
    return {name: CallerEntry(name=name, token_hash=hash_token(name), upstream_key=key) for name, key in keys.items()}


def build_metadata(name: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a caller."""
    return (("authorization", f"Bearer {name}"),)


async def test_a_callers_own_key_is_sent_to_the_proxy(upstream: FakeUpstream) -> None:
    """A caller's own key is sent only with its calls through the proxy, over the connection that all share."""
    upstream.model_info.lists("m")
    entries = (
        model_entry(upstream.api_base, "configured", litellm_model="litellm_proxy/m"),
        model_entry(upstream.api_base, "direct"),
    )

    async with serving_behind(upstream, *entries, callers=build_callers()) as running:
        stub: Any = running.stub
        for model in ("m", "configured", "direct"):
            for caller in ("alice", "bob", "eve", "alice"):
                await stub.Complete(a_wire_request(model=model), metadata=build_metadata(caller))

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
async def test_a_refused_key_of_a_caller_is_the_callers_mistake(
    upstream: FakeUpstream, caplog: pytest.LogCaptureFixture, status: int, options: dict[str, Any]
) -> None:
    """A refused key of a caller is its own mistake, is tried once and never logged; the server's is the operator's."""
    caplog.set_level(logging.DEBUG)
    upstream.model_info.lists("m", "spare")
    upstream.always.fail(status, **options)

    async with serving_behind(upstream, callers=build_callers()) as running:
        stub: Any = running.stub
        request = a_wire_request(model="m", fallback_models=["spare"])
        refused = await expect_failure(stub.Complete(request, metadata=build_metadata("alice")))
        calls = len(upstream.requests)
        servers = await expect_failure(stub.Complete(a_wire_request(model="m"), metadata=build_metadata("eve")))

    assert describe(refused) == (
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


async def test_a_failure_is_logged_once(upstream: FakeUpstream, caplog: pytest.LogCaptureFixture) -> None:
    """The log has one line when a failure begins, when its reason changes and when it ends, whatever the retries."""
    caplog.set_level(logging.INFO, logger="reasoning_grpc.discovery")
    upstream.model_info.fail(500)

    async with serving_behind(upstream, discovery_ttl_seconds=SOON) as running:
        await wait_for_reading(upstream)
        upstream.model_info.fail(503)
        await wait_for_reading(upstream)
        upstream.model_info.lists("m")
        await wait_for_reading(upstream)
        await list_page(running)

    lines = [(record.levelname, record.message, vars(record).get("reason")) for record in caplog.records]
    assert lines == [
        ("WARNING", "the proxy does not list its models", "UPSTREAM_ERROR"),
        ("WARNING", "the proxy does not list its models", "UPSTREAM_OVERLOADED"),
        ("INFO", "the proxy lists its models again", None),
    ]


class BrokenListing:
    """A list whose reading raises an error that is not one of ours."""

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
    """An unexpected error is logged with its traceback and reported as INTERNAL, and the next reading follows."""
    listing = BrokenListing()
    models = ProxyModels(listing, ttl_seconds=SOON)

    models.start()
    await models.wait_for_first_reading()
    await listing.read_twice.wait()
    status = models.get_status()
    await models.aclose()

    assert (status.kind, status.model_count, status.update_time) == (ModelSourceKind.PROXY, 0, None)
    assert (status.stale, status.failure) == (True, "INTERNAL")
    assert listing.closed
    assert caplog.records[0].exc_info is not None
