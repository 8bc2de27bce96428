"""A configured model has the facts of its entry, and those of litellm's price map where the entry has none."""

from typing import Any, Final

import pytest

from reasoning_grpc.catalog.configured import ConfiguredModel
from reasoning_grpc.config import ConfigError, ModelEntry
from reasoning_grpc.domain import Capability, ModelInfo, Prices
from reasoning_grpc.litellm_model import find_price_map
from reasoning_grpc.server.server import Server
from reasoning_grpc.v1 import models_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

MINI: Final = "openai/gpt-4o-mini"
MINI_PRICES: Final = Prices(input=150_000_000, output=600_000_000, cached_input=75_000_000)
MINI_CAPABILITIES: Final = frozenset(
    {
        Capability.TOOLS,
        Capability.JSON_OBJECT,
        Capability.JSON_SCHEMA,
        Capability.IMAGE_INPUT,
        Capability.DOCUMENT_INPUT,
    }
)
ELSEWHERE: Final = "http://127.0.0.1:9/v1"


def describe(**entry: Any) -> ModelInfo:
    """Returns what callers see of the model of an entry with these values."""
    return ConfiguredModel(ModelEntry(**{"name": "m", "litellm_model": MINI, **entry}), find_price_map()).describe()


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({}, id="at the provider"),
        pytest.param({"api_base": "https://api.openai.com/v1"}, id="at the provider's address"),
        pytest.param({"litellm_model": "openai/mine", "api_base": ELSEWHERE, "base_model": MINI}, id="by its base"),
        pytest.param({"litellm_model": "litellm_proxy/mine", "base_model": MINI}, id="behind a proxy"),
        pytest.param({"litellm_model": "openai/gpt-5", "base_model": MINI}, id="by another base"),
    ],
)
def test_a_known_model_has_the_facts_of_the_map(entry: dict[str, Any]) -> None:
    """The limits, prices and capabilities of a model that the price map lists are those of the map."""
    info = describe(**entry)

    assert (info.context_window_tokens, info.max_output_tokens) == (128_000, 16_384)
    assert info.prices == MINI_PRICES
    assert info.capabilities == MINI_CAPABILITIES


@pytest.mark.parametrize(
    ("entry", "lacks"),
    [
        pytest.param({}, False, id="listed"),
        pytest.param({"litellm_model": "openai/unheard-of"}, False, id="unknown"),
        pytest.param({"capabilities": frozenset({Capability.JSON_OBJECT})}, False, id="entry has JSON objects"),
        pytest.param({"capabilities": frozenset({Capability.JSON_SCHEMA})}, False, id="entry has a schema"),
        pytest.param({"capabilities": frozenset({Capability.TOOLS})}, True, id="entry has no JSON"),
        pytest.param({"capabilities": frozenset()}, True, id="entry has nothing"),
        pytest.param({"litellm_model": "anthropic/claude-sonnet-4-5"}, True, id="refused by the adapter"),
        pytest.param({"litellm_model": "anthropic/unheard-of"}, True, id="refused for all of a provider"),
    ],
)
def test_a_model_may_lack_json_objects(entry: dict[str, Any], lacks: bool) -> None:
    """A model that is known to refuse JSON objects lacks that capability."""
    info = describe(**entry)

    assert info.missing_capabilities == ({Capability.JSON_OBJECT} if lacks else frozenset())
    assert not info.missing_capabilities & info.capabilities


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"litellm_model": "openai/unheard-of"}, id="not in the map"),
        pytest.param({"api_base": ELSEWHERE}, id="at another server"),
        pytest.param({"litellm_model": "litellm_proxy/gpt-4o-mini", "api_base": ELSEWHERE}, id="behind a proxy"),
        pytest.param({"litellm_model": "custom_openai/gpt-4o-mini", "api_base": ELSEWHERE}, id="of no provider"),
    ],
)
def test_an_unknown_model_has_no_facts(entry: dict[str, Any]) -> None:
    """A model at another server has no facts, because its name alone does not say which model it is."""
    info = describe(**entry)

    assert (info.context_window_tokens, info.max_output_tokens) == (None, None)
    assert info.prices == Prices()
    assert info.capabilities == frozenset()


def test_a_capability_that_the_map_denies_is_not_refused() -> None:
    """A wrong flag of the price map, as this model has, does not refuse a request that the model supports."""
    model = "perplexity/openai/gpt-5-mini"
    facts = find_price_map().find_facts(model)

    assert facts is not None
    assert facts.missing_capabilities == {Capability.REASONING}
    assert describe(litellm_model=model).missing_capabilities == frozenset()


@pytest.mark.parametrize(
    ("entry", "changes"),
    [
        ({"context_window_tokens": 8192}, {"context_window_tokens": 8192}),
        ({"max_output_tokens": 100}, {"max_output_tokens": 100}),
        ({"capabilities": frozenset({Capability.TOOLS})}, {"capabilities": frozenset({Capability.TOOLS})}),
        ({"capabilities": frozenset()}, {"capabilities": frozenset()}),
        ({"prices": Prices(input=1, output=2)}, {"prices": Prices(input=1, output=2)}),
        ({"prices": Prices(input=0, output=0)}, {"prices": Prices(input=0, output=0)}),
        ({"prices": Prices(output=2)}, {"prices": Prices(output=2)}),
    ],
    ids=["window", "output", "capabilities", "no capabilities", "prices", "free", "half a price"],
)
def test_an_entry_wins_over_the_map(entry: dict[str, Any], changes: dict[str, Any]) -> None:
    """An entry's values replace those of the price map one by one, but its prices replace all prices."""
    by_the_map = {
        "context_window_tokens": 128_000,
        "max_output_tokens": 16_384,
        "capabilities": MINI_CAPABILITIES,
        "prices": MINI_PRICES,
    }

    info = describe(**entry)

    assert {name: getattr(info, name) for name in by_the_map} == by_the_map | changes


def test_an_unknown_base_model_is_refused() -> None:
    """A `base_model` that the price map does not list is refused at start."""
    config = config_for(model_entry(ELSEWHERE, base_model="openai/gpt-4o-minni"), model_entry(ELSEWHERE, "other"))

    with pytest.raises(ConfigError) as failed:
        Server(config)

    assert failed.value.problems == ["models.fake.base_model: 'openai/gpt-4o-minni' is not a model that litellm knows"]


async def test_a_known_model_is_listed_and_costs(upstream: FakeUpstream) -> None:
    """A model whose entry names its base model is listed with the base model's prices, which make the cost."""
    upstream.always.reply("Hello")
    entries = (
        model_entry(upstream.api_base, "known", base_model=MINI),
        model_entry(upstream.api_base, "unknown", litellm_model=MINI),
    )

    async with serving(config_for(*entries)) as running:
        known, unknown = await running.client().list_models()
        response = await running.client().complete(a_wire_request())
        other = await running.client().complete(a_wire_request(model="unknown"))

    assert known.prices == models_pb2.ModelPrices(
        base=models_pb2.TokenPrices(
            input_nano_usd_per_million=150_000_000,
            cached_input_nano_usd_per_million=75_000_000,
            output_nano_usd_per_million=600_000_000,
        )
    )
    assert known.limits == models_pb2.ModelLimits(context_window_tokens=128_000, max_output_tokens=16_384)
    assert [(item.model, item.kind, item.tokens, item.nano_usd) for item in response.cost.items] == [
        ("known", usage_pb2.TOKEN_KIND_INPUT, 8, 1200),
        ("known", usage_pb2.TOKEN_KIND_CACHED_INPUT, 3, 225),
        ("known", usage_pb2.TOKEN_KIND_OUTPUT, 7, 4200),
    ]
    assert response.cost.total_nano_usd == 5625
    assert not unknown.HasField("prices")
    assert not other.HasField("cost")


async def test_each_fallback_has_its_own_price(upstream: FakeUpstream) -> None:
    """A fallback that answers costs the prices of its own base model."""
    upstream.fail(503)
    upstream.fail(503)
    upstream.fail(503)
    upstream.always.reply("Hello")
    entries = (
        model_entry(upstream.api_base, base_model="openai/gpt-4o", fallback_models=("mini",)),
        model_entry(upstream.api_base, "mini", base_model=MINI),
    )

    async with serving(config_for(*entries)) as running:
        response = await running.client().complete(a_wire_request())

    assert response.model == "mini"
    assert {item.model for item in response.cost.items} == {"mini"}
    assert response.cost.total_nano_usd == 5625


async def test_a_long_prompt_has_the_tier_of_the_map(upstream: FakeUpstream) -> None:
    """The price map's tier for long prompts holds for prompt and answer, by the provider's count of the prompt."""
    upstream.reply("Hello", usage={"prompt_tokens": 200_000, "completion_tokens": 100})
    upstream.reply("Hello", usage={"prompt_tokens": 200_001, "completion_tokens": 100})
    entry = model_entry(upstream.api_base, base_model="gemini/gemini-2.5-pro")

    async with serving(config_for(entry)) as running:
        costs = [(await running.client().complete(a_wire_request())).cost for _ in range(2)]

    assert [[item.nano_usd for item in cost.items] for cost in costs] == [
        [200_000 * 1250, 100 * 10_000],
        [200_001 * 2500, 100 * 15_000],
    ]
