"""`ListModels` lists each model with its facts, and each source with its count."""

from datetime import UTC, datetime

from reasoning_grpc.catalog.sources import KnownModels
from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.domain import (
    ANONYMOUS,
    Capability,
    ModelFilter,
    ModelInfo,
    ModelSourceKind,
    ModelState,
    Prices,
    PriceTier,
)
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_deployment, a_wire_request
from tests.support.model_lists import API_BASE, AVAILABLE, REASONING, TOOLS, build_entries, build_names, list_page
from tests.support.models import Served
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream


async def test_a_model_is_listed_with_all_facts() -> None:
    """Every fact of an entry is listed exactly, without secrets and addresses."""
    entry = model_entry(
        API_BASE,
        "good",
        litellm_model="openai/gpt-4o-mini",
        description="Good at all.",
        capabilities=frozenset({Capability.REASONING, Capability.TOOLS, Capability.JSON_SCHEMA}),
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        prices=Prices(
            input=150_000_000,
            output=600_000_000,
            cached_input=75_000_000,
            cache_write=0,
            audio_input=700_000_000,
            reasoning=800_000_000,
            tiers=(PriceTier(above_input_tokens=64_000, input=1, output=2, cache_write=0),),
        ),
        fallback_models=("plain",),
        provider_options=frozenset({"top_a", "min_p"}),
        system_prompt="Be good.",
    )

    async with serving(config_for(entry, model_entry(API_BASE, "plain"))) as running:
        page = await list_page(running)

    assert list(page.models) == [
        models_pb2.Model(
            name="good",
            description="Good at all.",
            source=models_pb2.MODEL_SOURCE_KIND_CONFIGURATION,
            provider="openai",
            is_default=True,
            state=AVAILABLE,
            capabilities=[TOOLS, models_pb2.MODEL_CAPABILITY_JSON_SCHEMA, REASONING],
            limits=models_pb2.ModelLimits(context_window_tokens=128_000, max_output_tokens=16_384),
            prices=models_pb2.ModelPrices(
                base=models_pb2.TokenPrices(
                    input_nano_usd_per_million=150_000_000,
                    output_nano_usd_per_million=600_000_000,
                    cached_input_nano_usd_per_million=75_000_000,
                    cache_write_nano_usd_per_million=0,
                    audio_input_nano_usd_per_million=700_000_000,
                    reasoning_nano_usd_per_million=800_000_000,
                ),
                tiers=[
                    models_pb2.PriceTier(
                        above_input_tokens=64_000,
                        prices=models_pb2.TokenPrices(
                            input_nano_usd_per_million=1,
                            output_nano_usd_per_million=2,
                            cache_write_nano_usd_per_million=0,
                        ),
                    )
                ],
            ),
            fallback_models=["plain"],
            provider_options=["min_p", "top_a"],
        ),
        models_pb2.Model(
            name="plain",
            source=models_pb2.MODEL_SOURCE_KIND_CONFIGURATION,
            provider="openai",
            state=AVAILABLE,
            limits=models_pb2.ModelLimits(),
        ),
    ]


async def test_unknown_facts_are_unset() -> None:
    """Unknown limits and prices are unset, never zero; a price of zero is a price."""
    models = (model_entry(API_BASE, "free", prices=Prices(input=0, output=0)), model_entry(API_BASE, "unknown"))

    async with serving(config_for(*models)) as running:
        free, unknown = (await list_page(running)).models

    assert free.HasField("prices")
    assert free.prices.base.HasField("input_nano_usd_per_million")
    assert not free.prices.base.HasField("cached_input_nano_usd_per_million")
    assert not unknown.HasField("prices")
    assert not unknown.limits.HasField("context_window_tokens")
    assert not unknown.limits.HasField("max_output_tokens")


async def test_one_model_is_the_default() -> None:
    """Only the configured default has the flag, and it answers a request that names no model."""
    names = ["a", "b", "c"]

    async with serving(config_for(*build_entries(names), default_model="b")) as running:
        page = await list_page(running)
        route = await running.client().classify(a_wire_request())

    assert [(model.name, model.is_default) for model in page.models] == [("a", False), ("b", True), ("c", False)]
    assert route.model == "b"


async def test_a_source_has_its_count_and_time() -> None:
    """A source has the number of its models before filter and paging, and the time of its reading."""
    before = datetime.now(UTC)

    async with serving(config_for(*build_entries(build_names(5)))) as running:
        page = await list_page(running, page_size=1, filter=models_pb2.ModelFilter(name_contains="3"))
        after = datetime.now(UTC)

    (source,) = page.sources
    assert source.kind == models_pb2.MODEL_SOURCE_KIND_CONFIGURATION
    assert source.model_count == 5
    assert not source.stale
    assert source.failure == 0
    assert before <= source.update_time.ToDatetime(UTC) <= after


async def test_listing_calls_no_upstream(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The list comes from the table, without a connection to an upstream."""
    await list_page(running_server)

    assert upstream.connections == 0


def a_source(kind: ModelSourceKind, *names: str, state: ModelState = ModelState.AVAILABLE) -> KnownModels:
    """Returns a source with these models."""
    infos = [ModelInfo(name=name, source=kind, provider="openai", state=state) for name in names]
    return KnownModels(kind, {info.name: Served(info, a_deployment(name=info.name)) for info in infos})


async def test_each_source_counts_its_own_models() -> None:
    """Each of several sources is listed once with the number of its own models, also when a filter hides them."""
    sources = [
        a_source(ModelSourceKind.CONFIGURATION, "a", "b"),
        a_source(ModelSourceKind.EMBEDDED, "c", state=ModelState.UNAVAILABLE),
    ]
    table = ModelTable(sources, default="a")

    page = await table.list_page(ModelFilter(states=frozenset({ModelState.UNAVAILABLE})), 10, "", ANONYMOUS)

    assert [info.name for info in page.models] == ["c"]
    assert [(source.kind, source.model_count) for source in page.sources] == [
        (ModelSourceKind.CONFIGURATION, 2),
        (ModelSourceKind.EMBEDDED, 1),
    ]


async def test_the_first_source_wins() -> None:
    """A name that several sources have is served by the configuration, else by the proxy, else by the embedded model.

    Each source counts all of its own models.
    """
    sources = [
        a_source(ModelSourceKind.CONFIGURATION, "c"),
        a_source(ModelSourceKind.PROXY, "b", "c"),
        a_source(ModelSourceKind.EMBEDDED, "a", "b", "c"),
    ]

    page = await ModelTable(sources).list_page(ModelFilter(), 10, "", ANONYMOUS)

    assert [(info.name, info.source) for info in page.models] == [
        ("a", ModelSourceKind.EMBEDDED),
        ("b", ModelSourceKind.PROXY),
        ("c", ModelSourceKind.CONFIGURATION),
    ]
    assert [source.model_count for source in page.sources] == [1, 2, 3]
