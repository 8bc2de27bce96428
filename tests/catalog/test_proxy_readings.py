"""The list of a LiteLLM proxy is read in the background, and callers wait only for its first reading."""

import asyncio
from typing import Any

import grpc

from reasoning_grpc.server.server import Server
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_wire_request
from tests.support.model_lists import list_page
from tests.support.proxy import (
    INFO,
    SOON,
    list_requests,
    serving_behind,
    wait_for_reading,
)
from tests.support.serving import config_for, model_entry, proxy_entry
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream
from tests.support.wire_calls import expect_failure


async def test_a_hundred_callers_cost_one_request(upstream: FakeUpstream) -> None:
    """All callers wait for the same first reading and get the same answer, also calls that name a model."""
    gate = upstream.model_info.lists("a", "b", gated=True)

    async with serving_behind(upstream) as running:
        lists = [asyncio.ensure_future(list_page(running)) for _ in range(100)]
        calls = [asyncio.ensure_future(running.client().classify(a_wire_request(model="b"))) for _ in range(10)]
        await running.wait_for_calls(110)
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
