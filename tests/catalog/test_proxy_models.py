"""The models that a LiteLLM proxy lists are listed with their facts, filtered, and called through it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import FieldViolation
from reasoning_grpc.config import CallerEntry, ProxyEntry, hash_token
from reasoning_grpc.v1 import completion_pb2, errors_pb2, models_pb2
from tests.support.factories import a_wire_request
from tests.support.model_lists import list_page
from tests.support.proxy import (
    CHAT,
    INFO,
    LIST,
    PROXY,
    SOON,
    Script,
    get_proxy_source,
    list_names,
    list_requests,
    serving_behind,
    start_every_call,
    wait_for_reading,
)
from tests.support.serving import UPSTREAM_KEY, model_entry
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure


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
    assert failed.violations == (FieldViolation("reasoning.effort", "The model no does not support it."),)
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
