"""The calls of a caller with keys of its own send these keys, and the server's key only to the other models."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, ClassifierEntry, hash_token
from reasoning_grpc.domain import Secret
from reasoning_grpc.litellm_model import library
from reasoning_grpc.v1 import models_pb2
from tests.support.agent import agent_config, plan_call, reasoning_request, write_plan
from tests.support.callers_keys import (
    ALICE,
    BOB,
    FOREIGN,
    OTHER,
    PROVIDERS,
    build_callers,
    build_entry,
    expect_failed_call,
    find_keys,
    make_call,
)
from tests.support.classification import AUTO, write_choice
from tests.support.factories import a_wire_request
from tests.support.serving import UPSTREAM_KEY, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

EVERY_WAY: Final = pytest.mark.parametrize("provider", PROVIDERS)
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])


@EVERY_WAY
@BOTH_RPCS
async def test_the_own_key_replaces_the_servers(upstream: FakeUpstream, provider: str, rpc: str) -> None:
    """On every way a request carries its caller's key and no other, whatever the calls before it carried."""
    entry = build_entry(upstream, provider)
    prefix = entry.litellm_model.partition("/")[0]
    callers = build_callers(alice={f"{prefix}/*": ALICE}, bob={"fake": BOB})
    async with serving(config_for(entry, callers=callers)) as running:
        for caller in ("eve", "alice", "bob", "alice", "eve"):
            await make_call(running, caller, rpc)

    assert find_keys(upstream.requests) == [[UPSTREAM_KEY], [ALICE], [BOB], [ALICE], [UPSTREAM_KEY]]


@EVERY_WAY
@BOTH_RPCS
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_own_key_is_reported(upstream: FakeUpstream, provider: str, rpc: str, status: int) -> None:
    """On every way a refused key of the caller's is PERMISSION_DENIED, and nothing else is tried."""
    upstream.always.fail(status)
    callers = build_callers(alice={"fake": ALICE})
    spare = model_entry(upstream.api_base, "spare")
    async with serving(config_for(build_entry(upstream, provider), spare, callers=callers)) as running:
        own = await expect_failed_call(running, "alice", rpc, fallback_models=["spare"])
        sent = find_keys(upstream.requests)
        servers = await expect_failed_call(running, "eve", rpc)

    assert (own.code, own.reason) == (grpc.StatusCode.PERMISSION_DENIED, "UPSTREAM_KEY_REJECTED")
    assert own.message == 'The upstream of the model "fake" refused the caller\'s key.'
    assert own.metadata == {"model": "fake", "http_status": str(status)}
    assert sent == [[ALICE]]
    assert (servers.code, servers.reason) == (grpc.StatusCode.INTERNAL, "UPSTREAM_CREDENTIALS_REJECTED")


async def test_each_model_has_its_own_key(upstream: FakeUpstream) -> None:
    """A key of a model's name wins over that of its provider, and a model without either gets the server's key."""
    entries = [model_entry(upstream.api_base, name) for name in ("one", "two")]
    other = build_entry(upstream, "anthropic", "claude")
    callers = build_callers(alice={"one": OTHER, "openai/*": ALICE})
    async with serving(config_for(*entries, other, callers=callers)) as running:
        for model in ("one", "two", "claude"):
            await make_call(running, "alice", model=model)

    assert find_keys(upstream.requests) == [[OTHER], [ALICE], [UPSTREAM_KEY]]


async def test_a_model_may_have_no_other_key(upstream: FakeUpstream) -> None:
    """A caller's key reaches a model for which the server has none, also where litellm would get a token by itself."""
    entries = [
        build_entry(upstream, provider, provider, api_key=Secret("")) for provider in ("openai", "azure", "anthropic")
    ]
    callers = build_callers(alice={entry.name: ALICE for entry in entries})
    async with serving(config_for(*entries, callers=callers)) as running:
        for entry in entries:
            await make_call(running, "alice", model=entry.name)

    assert find_keys(upstream.requests) == [[ALICE]] * 3


@pytest.mark.parametrize("own", [{"fake": ALICE}, {"fake": ALICE, "spare": OTHER}], ids=["one", "both"])
async def test_a_fallback_uses_the_key_of_its_own_model(upstream: FakeUpstream, own: Mapping[str, str]) -> None:
    """A retry keeps the caller's key; a fallback gets the caller's key for its own model, else the server's."""
    upstream.fail(503)
    upstream.fail(503)
    entry = model_entry(upstream.api_base, fallback_models=("spare",))
    spare = model_entry(upstream.api_base, "spare")
    callers = build_callers(alice=own)
    async with serving(config_for(entry, spare, callers=callers, max_retries=1)) as running:
        await make_call(running, "alice")

    assert find_keys(upstream.requests) == [[ALICE], [ALICE], [own.get("spare", UPSTREAM_KEY)]]


async def test_the_agent_uses_the_callers_key(upstream: FakeUpstream) -> None:
    """Every model call of the agent carries the caller's key, and a refused one ends the call as it does elsewhere."""
    upstream.reply(write_plan(plan_call("weather", city="Paris")))
    upstream.reply(write_plan())
    upstream.reply("It rains.")
    config = agent_config(upstream, callers=build_callers(alice={"fake": ALICE}))
    async with serving(config) as running:
        await running.client(token="alice").complete(reasoning_request("Weather?"))
        sent = find_keys(upstream.requests)
        upstream.always.fail(401)
        with pytest.raises(CallFailed) as failed:
            await running.client(token="alice").complete(reasoning_request("Weather?"))

    assert sent == [[ALICE]] * 3
    assert (failed.value.code, failed.value.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "UPSTREAM_KEY_REJECTED",
    )


@pytest.mark.parametrize(
    ("own", "expected"), [({"judge": ALICE}, ALICE), ({"fake": OTHER}, UPSTREAM_KEY)], ids=["named", "another"]
)
async def test_the_classifier_uses_the_callers_key(
    upstream: FakeUpstream, judge: FakeUpstream, own: Mapping[str, str], expected: str
) -> None:
    """The classifier's model gets the caller's key if the caller has one for that model; answers are not shared."""
    judge.always.reply(write_choice("passthrough"))
    config = replace(
        config_for(
            model_entry(upstream.api_base), model_entry(judge.api_base, "judge"), callers=build_callers(alice=own)
        ),
        classifier=ClassifierEntry(model="judge", timeout_seconds=60.0),
    )
    async with serving(config) as running:
        for caller in ("eve", "alice", "alice"):
            await make_call(running, caller, **AUTO)

    assert find_keys(judge.requests) == [[UPSTREAM_KEY], [expected]]


async def test_a_refused_key_of_the_classifier_is_reported(upstream: FakeUpstream, judge: FakeUpstream) -> None:
    """A caller's key that the classifier's model refuses leaves the default mode, and the decision names the cause."""
    judge.always.fail(401)
    config = replace(
        config_for(
            model_entry(upstream.api_base),
            model_entry(judge.api_base, "judge"),
            callers=build_callers(alice={"judge": ALICE}),
        ),
        classifier=ClassifierEntry(model="judge", timeout_seconds=60.0),
    )
    async with serving(config) as running:
        answer = await running.client(token="alice").complete(a_wire_request(**AUTO))

    assert find_keys(judge.requests) == [[ALICE]]
    assert "UPSTREAM_KEY_REJECTED" in str(answer.route_decision)


async def test_listed_models_are_the_same_for_every_caller(upstream: FakeUpstream) -> None:
    """A caller's own key changes nothing in the list of models: the server serves them all."""
    entries = [model_entry(upstream.api_base, name) for name in ("one", "two")]
    async with serving(config_for(*entries, callers=build_callers(alice={"one": ALICE}))) as running:
        stub: Any = running.stub
        lists = [
            await stub.ListModels(models_pb2.ListModelsRequest(), metadata=(("authorization", f"Bearer {caller}"),))
            for caller in ("alice", "eve")
        ]

    assert [[model.name for model in each.models] for each in lists] == [["one", "two"]] * 2
    assert upstream.requests == []


async def test_keys_make_no_clients(upstream: FakeUpstream) -> None:
    """Many callers' keys share the connections of every way, and litellm keeps no client for any of them."""
    providers = ["openai", "hosted_vllm", "anthropic", FOREIGN]
    entries = [build_entry(upstream, provider, provider) for provider in providers]
    names = [f"caller{number}" for number in range(12)]
    callers = {
        name: CallerEntry(
            name=name,
            token_hash=hash_token(name),
            upstream_keys={entry.name: Secret(f"sk-{name}") for entry in entries},
        )
        for name in names
    }
    async with serving(config_for(*entries, callers=callers)) as running:
        cache = library.import_litellm().in_memory_llm_clients_cache.cache_dict
        for name in names:
            for entry in entries:
                await make_call(running, name, model=entry.name)
        kept = [str(item) for item in cache.items()]

    assert len(upstream.requests) == len(names) * len(entries)
    assert upstream.connections == 2  # ours, and litellm's own
    assert len(kept) <= 1
    assert not [text for text in kept if "sk-caller" in text]
