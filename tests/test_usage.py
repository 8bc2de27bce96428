"""Costs in whole nano-dollars, and the sums of usage."""

import pytest

from reasoning_grpc.types import Cost, CostItem, Prices, TokenKind, Usage, UsageSource


def _usage(input_tokens: int, output_tokens: int, **parts: int) -> Usage:
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.PROVIDER, **parts)


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
    """Prices are for a million tokens; each item is rounded on its own."""
    cost = Prices(input=0, output=price).cost("m", _usage(0, tokens))

    assert cost == Cost((CostItem("m", TokenKind.OUTPUT, tokens, nano_usd),))


def test_cached_and_written_tokens_are_priced_apart() -> None:
    """They are part of the input, and are taken out of it."""
    prices = Prices(input=10_000_000, output=40_000_000, cached_input=1_000_000, cache_write=12_000_000)

    cost = prices.cost("m", _usage(100, 10, cached_input_tokens=60, cache_write_tokens=30))

    assert cost == Cost(
        (
            CostItem("m", TokenKind.INPUT, 10, 100),
            CostItem("m", TokenKind.CACHED_INPUT, 60, 60),
            CostItem("m", TokenKind.CACHE_WRITE, 30, 360),
            CostItem("m", TokenKind.OUTPUT, 10, 400),
        )
    )
    assert cost.total_nano_usd == 920


@pytest.mark.parametrize(
    ("prices", "known"),
    [
        (Prices(), False),
        (Prices(input=1), False),
        (Prices(output=1), False),
        (Prices(input=1, output=1), True),
        (Prices(input=0, output=0), True),
    ],
    ids=["none", "no-output", "no-input", "both", "free"],
)
def test_an_unknown_price_makes_no_cost(prices: Prices, known: bool) -> None:
    """A price that is needed and not known leaves the cost unknown: it is never guessed."""
    assert (prices.cost("m", _usage(5, 5)) is not None) is known


def test_a_sum_is_estimated_when_a_part_is() -> None:
    """Counts add up; what was reported once stays reported; one estimate makes the sum an estimate."""
    provider = _usage(10, 5, cached_input_tokens=4)
    estimated = Usage(3, 2, 5, UsageSource.ESTIMATED)

    assert provider + estimated == Usage(13, 7, 20, UsageSource.ESTIMATED, cached_input_tokens=4)
    assert (provider + provider).source is UsageSource.PROVIDER
