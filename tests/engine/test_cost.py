"""An answer, and an interruption, has the exact cost of its tokens."""

from typing import Final

import pytest

from reasoning_grpc.domain import Prices
from reasoning_grpc.v1 import usage_pb2
from tests.support.factories import a_wire_request
from tests.support.fold_check import check_fold
from tests.support.native_events import finish_event, text_block
from tests.support.serving import config_for, model_entry, provider_entry, serving
from tests.support.streams import read_stream
from tests.support.upstream import FakeUpstream


@pytest.mark.parametrize(
    ("prices", "items"),
    [
        pytest.param(
            Prices(input=150_000_000, output=600_000_000, cached_input=75_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 225), ("OUTPUT", 7, 4200)],
            id="every-kind-has-a-price",
        ),
        pytest.param(
            Prices(input=150_000_000, output=600_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 7, 4200)],
            id="cached-at-the-price-of-input",
        ),
        pytest.param(
            Prices(input=0, output=0),
            [("INPUT", 8, 0), ("CACHED_INPUT", 3, 0), ("OUTPUT", 7, 0)],
            id="free",
        ),
        pytest.param(
            Prices(input=312_500, output=500_000, cached_input=500_000),
            [("INPUT", 8, 2), ("CACHED_INPUT", 3, 2), ("OUTPUT", 7, 4)],
            id="rounded-half-to-even",
        ),
        pytest.param(
            Prices(input=150_000_000, output=600_000_000, reasoning=800_000_000),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 5, 3000), ("REASONING", 2, 1600)],
            id="reasoning-has-a-price",
        ),
        pytest.param(
            Prices(input=1, output=1).add_tiers({10: {"input": 150_000_000, "output": 600_000_000}}),
            [("INPUT", 8, 1200), ("CACHED_INPUT", 3, 450), ("OUTPUT", 7, 4200)],
            id="a-long-prompt",
        ),
        pytest.param(Prices(input=150_000_000), None, id="output-unknown"),
        pytest.param(Prices(output=600_000_000), None, id="input-unknown"),
        pytest.param(Prices(), None, id="unknown"),
    ],
)
async def test_an_answer_has_its_exact_cost(
    upstream: FakeUpstream, prices: Prices, items: list[tuple[str, int, int]] | None
) -> None:
    """The cost of an answer is exact in nano-dollars for each kind of token, and absent when a price is not known."""
    upstream.always.reply("Hello")

    async with serving(config_for(model_entry(upstream.api_base, prices=prices))) as running:
        response = await running.client().complete(a_wire_request())
        await check_fold(running, a_wire_request())

    assert response.HasField("cost") == (items is not None)
    reported = [
        (usage_pb2.TokenKind.Name(item.kind).removeprefix("TOKEN_KIND_"), item.tokens, item.nano_usd)
        for item in response.cost.items
    ]
    assert reported == (items or [])
    assert response.cost.total_nano_usd == sum(nano_usd for _, _, nano_usd in reported)


CACHE_WRITES: Final = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 1_000_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 600_000, "ephemeral_1h_input_tokens": 400_000},
}
"""Anthropic's counts of a prompt that it keeps partly for five minutes and partly for an hour."""


@pytest.mark.parametrize(
    ("long_cache_write", "nano_usd"), [(6_000_000_000, 4_650_165_000), (None, None)], ids=["priced", "not-priced"]
)
async def test_cache_writes_of_an_hour_have_their_own_price(
    upstream: FakeUpstream, long_cache_write: int | None, nano_usd: int | None
) -> None:
    """What is written to the cache for an hour costs its own price; without that price, the cost is not known."""
    prices = Prices(
        input=3_000_000_000, output=15_000_000_000, cache_write=3_750_000_000, long_cache_write=long_cache_write
    )
    upstream.lines(
        {"type": "message_start", "message": {"id": "msg_1", "usage": CACHE_WRITES}},
        *text_block(0, "Hello"),
        finish_event("end_turn", input_tokens=20, cache_creation_input_tokens=1_000_000, output_tokens=7),
        {"type": "message_stop"},
    )

    async with serving(config_for(provider_entry(upstream, "anthropic", prices=prices))) as running:
        response = await running.client().complete(a_wire_request())

    assert response.usage.long_cache_write_tokens == 400_000
    assert (response.cost.total_nano_usd if response.HasField("cost") else None) == nano_usd


async def test_an_interruption_has_the_cost_so_far(upstream: FakeUpstream) -> None:
    """The interruption of a cut answer has the cost of its estimated usage."""
    upstream.cut_after(3, "end")
    prices = Prices(input=1_000_000, output=10_000_000)

    async with serving(config_for(model_entry(upstream.api_base, prices=prices))) as running:
        _, failure = await read_stream(running, a_wire_request(text="x" * 400))

    assert failure is not None
    assert failure.interruption is not None
    assert failure.interruption.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED
    assert [(item.tokens, item.nano_usd) for item in failure.interruption.cost.items] == [(100, 100), (5, 50)]
    assert failure.interruption.cost.total_nano_usd == 150
