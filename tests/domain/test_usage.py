"""Costs are whole nano-dollars, and usage can be added."""

from typing import Final

import pytest

from reasoning_grpc.domain import Cost, CostItem, CostSum, Prices, PriceTier, TokenKind, Usage, UsageSource


def _make_usage(input_tokens: int, output_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.PROVIDER, **parts)


def _compute_cost(prices: Prices, *usages: Usage) -> Cost | None:
    """Computes the cost of model calls with one model."""
    costs = CostSum()
    for usage in usages:
        costs.add("m", usage, prices)
    return costs.build_cost()


@pytest.mark.parametrize(
    ("tokens", "price", "nano_usd"),
    [
        (1, 1_000_000, 1),
        (1, 500_000, 0),
        (3, 500_000, 2),
        (1, 500_001, 1),
        (7, 150_000_000, 1050),
        (1_000_000, 2_500_000_000, 2_500_000_000),
    ],
    ids=["whole", "half-down-to-even", "half-up-to-even", "above-half", "cents", "a-million"],
)
def test_an_item_is_rounded_half_to_even(tokens: int, price: int, nano_usd: int) -> None:
    """The cost of an item is rounded half to even, at a price for a million tokens."""
    cost = _compute_cost(Prices(input=0, output=price), _make_usage(0, tokens))

    assert cost == Cost((CostItem("m", TokenKind.OUTPUT, tokens, nano_usd),))


def test_cached_and_written_tokens_have_their_own_price() -> None:
    """Cached and cache-write tokens cost their own price, and do not count as other input tokens."""
    prices = Prices(input=10_000_000, output=40_000_000, cached_input=1_000_000, cache_write=12_000_000)

    cost = _compute_cost(prices, _make_usage(100, 10, cached_input_tokens=60, cache_write_tokens=30))

    assert cost == Cost(
        (
            CostItem("m", TokenKind.INPUT, 10, 100),
            CostItem("m", TokenKind.CACHED_INPUT, 60, 60),
            CostItem("m", TokenKind.CACHE_WRITE, 30, 360),
            CostItem("m", TokenKind.OUTPUT, 10, 400),
        )
    )
    assert cost.total_nano_usd == 920


TIERED: Final = Prices(
    input=1_000_000,
    output=10_000_000,
    cached_input=100_000,
    tiers=(
        PriceTier(above_input_tokens=200, input=2_000_000, output=20_000_000, cached_input=200_000),
        PriceTier(above_input_tokens=500, input=5_000_000, output=50_000_000),
    ),
)


@pytest.mark.parametrize(
    ("input_tokens", "nano_usd"),
    [
        pytest.param(199, (99, 10, 100), id="below"),
        pytest.param(200, (100, 10, 100), id="at the limit of the tier"),
        pytest.param(201, (202, 20, 200), id="above the limit"),
        pytest.param(500, (800, 20, 200), id="at the limit of the next tier"),
        pytest.param(501, (2005, 500, 500), id="above both limits"),
    ],
)
def test_a_tier_applies_to_the_whole_prompt(input_tokens: int, nano_usd: tuple[int, int, int]) -> None:
    """Every token of a long prompt has the price of its tier, not only the tokens above the limit of the tier."""
    cost = _compute_cost(TIERED, _make_usage(input_tokens, 10, cached_input_tokens=100))

    assert cost == Cost(
        (
            CostItem("m", TokenKind.INPUT, input_tokens - 100, nano_usd[0]),
            CostItem("m", TokenKind.CACHED_INPUT, 100, nano_usd[1]),
            CostItem("m", TokenKind.OUTPUT, 10, nano_usd[2]),
        )
    )


def test_each_model_call_has_its_own_tier() -> None:
    """The tier of each model call depends on its own prompt, and the items add up all calls."""
    short, long = _make_usage(150, 1), _make_usage(300, 1)

    two_short, both = _compute_cost(TIERED, short, short), _compute_cost(TIERED, short, long)

    assert two_short == Cost(
        (CostItem("m", TokenKind.INPUT, 300, 300), CostItem("m", TokenKind.OUTPUT, 2, 20)),
    )
    assert both == Cost(
        (CostItem("m", TokenKind.INPUT, 450, 750), CostItem("m", TokenKind.OUTPUT, 2, 30)),
    )


def test_an_item_of_several_calls_is_rounded_once() -> None:
    """The amounts of several model calls are added before the item is rounded."""
    cost = _compute_cost(Prices(input=500_000, output=0), *[_make_usage(1, 0)] * 3)

    assert cost == Cost((CostItem("m", TokenKind.INPUT, 3, 2),))


def test_the_cost_of_several_models_is_known_if_all_their_prices_are() -> None:
    """A cost has the items of each model in the order of their first calls, and is unknown from an unknown price on."""
    costs = CostSum()
    costs.add("m", _make_usage(1, 0), Prices(input=1_000_000, output=0))
    costs.add("n", _make_usage(2, 0), Prices(input=3_000_000, output=0))
    costs.add("m", _make_usage(4, 0), Prices(input=1_000_000, output=0))
    known = costs.build_cost()
    costs.add("o", _make_usage(1, 0), Prices())

    assert known == Cost((CostItem("m", TokenKind.INPUT, 5, 5), CostItem("n", TokenKind.INPUT, 2, 6)))
    assert costs.build_cost() is None
    assert CostSum().build_cost() is None


def test_a_tier_keeps_the_prices_that_it_does_not_change() -> None:
    """A tier has the prices of the tier below it, except those that change."""
    tiered = Prices(input=1, output=2, cache_write=3).add_tiers({500: {"input": 7}, 200: {"input": 5, "output": 6}})

    assert tiered == Prices(
        input=1,
        output=2,
        cache_write=3,
        tiers=(
            PriceTier(above_input_tokens=200, input=5, output=6, cache_write=3),
            PriceTier(above_input_tokens=500, input=7, output=6, cache_write=3),
        ),
    )


OWN_PRICES: Final = Prices(input=1_000_000, output=10_000_000, reasoning=40_000_000, audio_input=7_000_000)


@pytest.mark.parametrize(
    ("prices", "parts", "items"),
    [
        pytest.param(OWN_PRICES, {}, {"INPUT": (100, 100), "OUTPUT": (10, 100)}, id="not reported"),
        pytest.param(
            OWN_PRICES,
            {"reasoning_tokens": 4, "audio_input_tokens": 30},
            {"INPUT": (70, 70), "AUDIO_INPUT": (30, 210), "OUTPUT": (6, 60), "REASONING": (4, 160)},
            id="own prices",
        ),
        pytest.param(
            Prices(input=1_000_000, output=10_000_000),
            {"reasoning_tokens": 4, "audio_input_tokens": 30},
            {"INPUT": (100, 100), "OUTPUT": (10, 100)},
            id="no own prices",
        ),
        pytest.param(
            OWN_PRICES,
            {"reasoning_tokens": 400, "audio_input_tokens": 300},
            {"AUDIO_INPUT": (100, 700), "REASONING": (10, 400)},
            id="more than the whole",
        ),
        pytest.param(OWN_PRICES, {"audio_input_tokens": 30, "cached_input_tokens": 5}, None, id="perhaps cached audio"),
        pytest.param(
            OWN_PRICES,
            {"cached_input_tokens": 5},
            {"INPUT": (95, 95), "CACHED_INPUT": (5, 5), "OUTPUT": (10, 100)},
            id="cached text",
        ),
    ],
)
def test_reasoning_and_audio_may_have_their_own_price(
    prices: Prices, parts: dict[str, int], items: dict[str, tuple[int, int]] | None
) -> None:
    """Reasoning and audio tokens are separate items of the cost when they have their own price."""
    cost = _compute_cost(prices, _make_usage(100, 10, **parts))

    reported = None if cost is None else {str(item.kind): (item.tokens, item.nano_usd) for item in cost.items}
    assert reported == items


@pytest.mark.parametrize(
    ("prices", "is_known"),
    [
        (Prices(), False),
        (Prices(input=1), False),
        (Prices(output=1), False),
        (Prices(input=1, output=1), True),
        (Prices(input=0, output=0), True),
        (Prices(input=1, output=1, tiers=(PriceTier(above_input_tokens=4, input=1),)), False),
    ],
    ids=["none", "no-output", "no-input", "both", "free", "no-output-in-the-tier"],
)
def test_an_unknown_price_leaves_the_cost_unknown(prices: Prices, is_known: bool) -> None:
    """The cost is unknown when a price that it needs is unknown, and never a guess."""
    assert (_compute_cost(prices, _make_usage(5, 5)) is not None) is is_known


@pytest.mark.parametrize(("prices", "cost"), [(Prices(), None), (Prices(input=1), Cost(()))], ids=["unknown", "known"])
def test_a_call_without_tokens_costs_nothing_if_its_model_has_a_price(prices: Prices, cost: Cost | None) -> None:
    """The cost of a call without tokens is empty, and unknown for a model whose prices are not known."""
    assert _compute_cost(prices, _make_usage(0, 0)) == cost


def test_a_sum_with_an_estimate_is_an_estimate() -> None:
    """The sum of two usages is an estimate when one of them is, and has every count that one of them reports."""
    provider = _make_usage(10, 5, cached_input_tokens=4)
    estimated = Usage(3, 2, 5, UsageSource.ESTIMATED)

    assert provider + estimated == Usage(13, 7, 20, UsageSource.ESTIMATED, cached_input_tokens=4)
    assert (provider + provider).source is UsageSource.PROVIDER
