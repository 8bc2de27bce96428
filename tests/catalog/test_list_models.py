"""`ListModels` lists each model with its facts, in pages, filtered, and only to callers that may use it."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.catalog.sources import KnownModels
from reasoning_grpc.catalog.table import ModelTable
from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.config import CallerEntry, ModelEntry, hash_token
from reasoning_grpc.domain import (
    ANONYMOUS,
    Capability,
    Deployment,
    ModelFilter,
    ModelInfo,
    ModelSourceKind,
    ModelState,
    Prices,
    PriceTier,
)
from reasoning_grpc.v1 import models_pb2
from tests.support.factories import a_deployment, a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, serving
from tests.support.upstream import FakeUpstream

API_BASE: Final = "http://127.0.0.1:9/v1"
"""An address that nobody listens on: listing calls no upstream."""
TOOLS: Final = models_pb2.MODEL_CAPABILITY_TOOLS
REASONING: Final = models_pb2.MODEL_CAPABILITY_REASONING
AVAILABLE: Final = models_pb2.MODEL_STATE_AVAILABLE
UNAVAILABLE: Final = models_pb2.MODEL_STATE_UNAVAILABLE
NOT_OURS: Final = FieldViolation("page_token", "It is not a token of an earlier answer to the same filter.")


def build_names(count: int) -> list[str]:
    """Returns this many names in their order."""
    return [f"model-{number:03}" for number in range(count)]


def build_entries(names: Sequence[str]) -> list[ModelEntry]:
    """Returns an entry for each name."""
    return [model_entry(API_BASE, name) for name in names]


async def list_page(running: RunningServer, **fields: Any) -> models_pb2.ListModelsResponse:
    """Returns one page of the list."""
    stub: Any = running.stub
    page: models_pb2.ListModelsResponse = await stub.ListModels(models_pb2.ListModelsRequest(**fields))
    return page


async def expect_refusal(running: RunningServer, **fields: Any) -> CallFailed:
    """Requests a page that must be refused, and returns the failure."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await list_page(running, **fields)
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert CallFailed(failed.value).reason == "INVALID_FIELD"
    return CallFailed(failed.value)


async def pages(running: RunningServer, **fields: Any) -> AsyncIterator[list[str]]:
    """Yields the names on each page up to the last one."""
    token = ""
    while True:
        page = await list_page(running, page_token=token, **fields)
        yield [model.name for model in page.models]
        token = page.next_page_token
        if not token:
            return


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


@pytest.mark.parametrize(
    ("page_size", "sizes"),
    [
        pytest.param(0, [100, 100, 50], id="unset means 100"),
        pytest.param(1000, [250], id="the largest"),
        pytest.param(99, [99, 99, 52], id="with a rest"),
        pytest.param(125, [125, 125], id="without a rest"),
        pytest.param(250, [250], id="exactly all"),
    ],
)
async def test_pages_hold_every_model_once_and_in_order(page_size: int, sizes: list[int]) -> None:
    """The pages together are the whole list in the order of names, and the last page has no token."""
    names = build_names(250)

    async with serving(config_for(*reversed(build_entries(names)))) as running:
        found = [page async for page in pages(running, page_size=page_size)]

    assert [len(page) for page in found] == sizes
    assert [name for page in found for name in page] == names


async def test_the_client_reads_all_pages() -> None:
    """`list_models` of our client reads up to the last page."""
    names = build_names(205)

    async with serving(config_for(*build_entries(names))) as running:
        models = await running.client().list_models()

    assert [model.name for model in models] == names


async def test_a_token_is_stable() -> None:
    """A page has the same token when it is read again, also after a restart, and works with another page size."""
    names = build_names(10)
    tokens = []

    for _ in range(2):
        async with serving(config_for(*build_entries(names))) as running:
            tokens += [(await list_page(running, page_size=4)).next_page_token for _ in range(2)]
            rest = await list_page(running, page_token=tokens[-1], page_size=100)
            assert [model.name for model in rest.models] == names[4:]

    assert len(set(tokens)) == 1


async def test_a_token_outlives_its_model() -> None:
    """A model that appears or disappears between two pages neither hides nor repeats another one."""
    async with serving(config_for(*build_entries(["a", "b", "c", "d"]))) as running:
        token = (await list_page(running, page_size=2)).next_page_token

    async with serving(config_for(*build_entries(["a", "aa", "bb", "c", "d"]))) as running:
        page = await list_page(running, page_token=token)

    assert [model.name for model in page.models] == ["bb", "c", "d"]
    assert page.next_page_token == ""


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("x", id="too short"),
        pytest.param("!!!!", id="not base64"),
        pytest.param("eHh4eHh4", id="base64 of something else"),
        pytest.param("\u00e4" * 4, id="not ASCII"),
        pytest.param("model-003", id="a name"),
    ],
)
async def test_a_token_that_is_not_ours_is_invalid(token: str) -> None:
    """A token that the server did not write is refused, and never read as the start of the list."""
    async with serving(config_for(*build_entries(["a"]))) as running:
        failed = await expect_refusal(running, page_token=token)

    assert failed.violations == (NOT_OURS,)


async def test_a_token_belongs_to_its_filter() -> None:
    """A token of one filter is refused with another filter; the order of a filter's conditions does not matter."""
    capabilities = frozenset({Capability.TOOLS, Capability.REASONING})
    models = [model_entry(API_BASE, name, capabilities=capabilities) for name in build_names(3)]
    filter_of_token = models_pb2.ModelFilter(capabilities=[TOOLS, REASONING], states=[AVAILABLE])
    reordered_filter = models_pb2.ModelFilter(capabilities=[REASONING, TOOLS, TOOLS], states=[AVAILABLE])

    async with serving(config_for(*models)) as running:
        token = (await list_page(running, page_size=1, filter=filter_of_token)).next_page_token
        without = await expect_refusal(running, page_token=token)
        other = await expect_refusal(running, page_token=token, filter=models_pb2.ModelFilter(capabilities=[TOOLS]))
        same = await list_page(running, page_token=token, filter=reordered_filter)

    assert without.violations == other.violations == (NOT_OURS,)
    assert [model.name for model in same.models] == ["model-001", "model-002"]


async def test_all_mistakes_of_a_page_are_reported_together() -> None:
    """Mistakes in size, token and filter are reported at the same time."""
    async with serving(config_for(*build_entries(["a"]))) as running:
        failed = await expect_refusal(
            running,
            page_size=-1,
            page_token="x" * 1025,
            filter=models_pb2.ModelFilter(
                name_contains="x" * 129,
                capabilities=[models_pb2.MODEL_CAPABILITY_UNSPECIFIED],
                states=[models_pb2.MODEL_STATE_UNSPECIFIED],
            ),
        )

    assert failed.violations == (
        FieldViolation("page_size", "It must be at least 0."),
        FieldViolation("page_token", "It must have at most 1024 characters."),
        FieldViolation("filter.name_contains", "It must have at most 128 characters."),
        FieldViolation("filter.capabilities[0]", "It must be specified."),
        FieldViolation("filter.states[0]", "It must be specified."),
    )


@pytest.mark.parametrize("page_size", [-1, -(2**31)])
async def test_a_negative_page_size_is_invalid(page_size: int) -> None:
    """A negative page size is refused."""
    async with serving(config_for(*build_entries(["a"]))) as running:
        failed = await expect_refusal(running, page_size=page_size)

    assert failed.violations == (FieldViolation("page_size", "It must be at least 0."),)


@pytest.mark.parametrize("page_size", [1000, 1001, 2**31 - 1])
async def test_a_page_size_above_the_maximum_is_taken_as_the_maximum(page_size: int) -> None:
    """A page holds at most 1000 models, however many are requested; the next page holds the rest."""
    names = [f"model-{number:04}" for number in range(1001)]

    async with serving(config_for(*build_entries(names))) as running:
        found = [page async for page in pages(running, page_size=page_size)]

    assert [len(page) for page in found] == [1000, 1]


FILTERS = [
    pytest.param(models_pb2.ModelFilter(), ["Alpha", "alphabet", "beta"], id="no condition"),
    pytest.param(models_pb2.ModelFilter(name_contains="ALPHA"), ["Alpha", "alphabet"], id="name in any case"),
    pytest.param(models_pb2.ModelFilter(name_contains="bet"), ["alphabet", "beta"], id="part of a name"),
    pytest.param(models_pb2.ModelFilter(name_contains=".*"), [], id="a pattern is just text"),
    pytest.param(models_pb2.ModelFilter(capabilities=[TOOLS]), ["Alpha", "beta"], id="one capability"),
    pytest.param(models_pb2.ModelFilter(capabilities=[TOOLS, REASONING]), ["beta"], id="two capabilities"),
    pytest.param(
        models_pb2.ModelFilter(capabilities=[models_pb2.MODEL_CAPABILITY_LOGPROBS]), [], id="a capability of no model"
    ),
    pytest.param(models_pb2.ModelFilter(states=[AVAILABLE]), ["Alpha", "alphabet", "beta"], id="available"),
    pytest.param(models_pb2.ModelFilter(states=[UNAVAILABLE]), [], id="unavailable"),
    pytest.param(
        models_pb2.ModelFilter(states=[UNAVAILABLE, AVAILABLE]), ["Alpha", "alphabet", "beta"], id="either state"
    ),
    pytest.param(
        models_pb2.ModelFilter(name_contains="a", capabilities=[REASONING], states=[AVAILABLE]),
        ["beta"],
        id="all conditions",
    ),
]


@pytest.mark.parametrize(("model_filter", "expected"), FILTERS)
async def test_a_filter_keeps_models_that_meet_every_condition(
    model_filter: models_pb2.ModelFilter, expected: list[str]
) -> None:
    """A filter keeps the models that meet every condition, and is applied before the list is cut into pages."""
    models = (
        model_entry(API_BASE, "Alpha", capabilities=frozenset({Capability.TOOLS})),
        model_entry(API_BASE, "alphabet"),
        model_entry(API_BASE, "beta", capabilities=frozenset({Capability.TOOLS, Capability.REASONING})),
    )

    async with serving(config_for(*models)) as running:
        at_once = [page async for page in pages(running, filter=model_filter)]
        one_by_one = [page async for page in pages(running, filter=model_filter, page_size=1)]

    assert at_once == [expected]
    assert one_by_one == ([[name] for name in expected] or [[]])


async def test_pages_hold_the_models_that_the_caller_may_use() -> None:
    """Models that the caller may not use do not shorten a page, but the source counts them."""
    names = build_names(6)
    allowed = frozenset(names[::2])
    callers = {"bob": CallerEntry(name="bob", token_hash=hash_token("t"), allowed_models=allowed)}
    metadata = (("authorization", "Bearer t"),)

    async with serving(config_for(*build_entries(names), callers=callers)) as running:
        stub: Any = running.stub
        first = await stub.ListModels(models_pb2.ListModelsRequest(page_size=2), metadata=metadata)
        request = models_pb2.ListModelsRequest(page_size=2, page_token=first.next_page_token)
        second = await stub.ListModels(request, metadata=metadata)

    assert [[model.name for model in page.models] for page in (first, second)] == [names[:4:2], [names[4]]]
    assert second.next_page_token == ""
    assert second.sources[0].model_count == 6


async def test_listing_calls_no_upstream(upstream: FakeUpstream, running_server: RunningServer) -> None:
    """The list comes from the table, without a connection to an upstream."""
    await list_page(running_server)

    assert upstream.connections == 0


class StaticModel:
    """A model of the table with fixed facts."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info

    def describe(self) -> ModelInfo:
        """See `ServedModel.describe`."""
        return self._info

    def find_deployment(self) -> Deployment:
        """See `ServedModel.find_deployment`."""
        return a_deployment(name=self._info.name)


def a_source(kind: ModelSourceKind, *names: str, state: ModelState = ModelState.AVAILABLE) -> KnownModels:
    """Returns a source with these models."""
    infos = [ModelInfo(name=name, source=kind, provider="openai", state=state) for name in names]
    return KnownModels(kind, {info.name: StaticModel(info) for info in infos})


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
