"""`ListModels` returns pages with stable tokens, filtered, and only of models that the caller may use."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.config import CallerEntry, hash_token
from reasoning_grpc.domain import (
    Capability,
)
from reasoning_grpc.v1 import models_pb2
from tests.support.model_lists import (
    API_BASE,
    AVAILABLE,
    REASONING,
    TOOLS,
    UNAVAILABLE,
    build_entries,
    build_names,
    list_page,
    pages,
)
from tests.support.serving import RunningServer, config_for, model_entry, serving

NOT_OURS: Final = FieldViolation("page_token", "It is not a token of an earlier answer to the same filter.")


async def expect_refusal(running: RunningServer, **fields: Any) -> CallFailed:
    """Requests a page that must be refused, and returns the failure."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await list_page(running, **fields)
    assert failed.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert CallFailed(failed.value).reason == "INVALID_FIELD"
    return CallFailed(failed.value)


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
