"""The prices of a model, and the cost of the tokens that it used."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import fields, force_setattr, replace

from reasoning_grpc.domain.usage import Usage

_TOKENS_PER_PRICE: Final = 1_000_000


class TokenKind(StrEnum):
    """A kind of token that has its own price."""

    INPUT = "INPUT"
    CACHED_INPUT = "CACHED_INPUT"
    CACHE_WRITE = "CACHE_WRITE"
    AUDIO_INPUT = "AUDIO_INPUT"
    OUTPUT = "OUTPUT"
    REASONING = "REASONING"


_TOKEN_KINDS: Final = tuple(TokenKind)
"""All kinds, in the order of the items of a cost."""


class CostItem(Struct, frozen=True):
    """Cost of one kind of token of one model, in nano-dollars."""

    model: str
    kind: TokenKind
    tokens: int
    nano_usd: int


class Cost(Struct, frozen=True):
    """A cost in nano-dollars: the sum of its items, each of which is rounded half to even."""

    items: tuple[CostItem, ...]
    total_nano_usd: int = 0
    """The sum of the items, which a cost adds up by itself, once."""

    def __post_init__(self) -> None:
        """Adds up the items."""
        total = 0
        for item in self.items:
            total += item.nano_usd
        force_setattr(self, "total_nano_usd", total)

    def __add__(self, other: "Cost") -> "Cost":
        """Returns the sum, with one item for each kind of token of each model."""
        items: dict[tuple[str, TokenKind], CostItem] = {}
        for item in (*self.items, *other.items):
            known = items.get((item.model, item.kind), CostItem(item.model, item.kind, 0, 0))
            items[item.model, item.kind] = replace(
                known, tokens=known.tokens + item.tokens, nano_usd=known.nano_usd + item.nano_usd
            )
        return Cost(tuple(items.values()))


class TokenPrices(Struct, frozen=True, kw_only=True):
    """A price for each kind of token, in nano-dollars for a million tokens. None means that it is not known."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    """None means the price of `input`."""
    cache_write: int | None = None
    """None means the price of `input`."""
    long_cache_write: int | None = None
    """The price of what is written to a cache for an hour, where that differs. None means that it is not known."""
    audio_input: int | None = None
    """None means the price of `input`."""
    reasoning: int | None = None
    """None means the price of `output`."""

    def price_tokens(self, usage: Usage) -> list[tuple[TokenKind, int, int | None]]:
        """Returns the tokens of one model call by kind, with the price of each kind; a kind may have no tokens."""
        cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
        fresh = max(0, usage.input_tokens - cached - written)
        audio = min(fresh, usage.audio_input_tokens or 0) if self.audio_input is not None else 0
        reasoning = min(usage.output_tokens, usage.reasoning_tokens or 0) if self.reasoning is not None else 0
        priced = [
            (TokenKind.INPUT, fresh - audio, self.input),
            (TokenKind.OUTPUT, usage.output_tokens - reasoning, self.output),
        ]
        if cached:
            # Providers do not report how much of the cached prompt was audio, which has another price when cached.
            cached_price = None if audio else _price_or_base(self.cached_input, self.input)
            priced.append((TokenKind.CACHED_INPUT, cached, cached_price))
        if written:
            long_written = min(written, usage.long_cache_write_tokens or 0)
            priced.append((TokenKind.CACHE_WRITE, written - long_written, _price_or_base(self.cache_write, self.input)))
            priced.append((TokenKind.CACHE_WRITE, long_written, self.long_cache_write))
        if audio:
            priced.append((TokenKind.AUDIO_INPUT, audio, self.audio_input))
        if reasoning:
            priced.append((TokenKind.REASONING, reasoning, self.reasoning))
        return priced


class PriceTier(TokenPrices, frozen=True, kw_only=True):
    """The prices of all tokens of a model call with a long prompt."""

    above_input_tokens: int
    """The tier applies to prompts with more than this number of tokens."""


class Prices(TokenPrices, frozen=True, kw_only=True):
    """The prices of a model."""

    tiers: tuple[PriceTier, ...] = ()
    """Prices for long prompts, shortest prompt first. A tier applies to the whole prompt."""

    def add_tiers(self, changes: Mapping[int, Mapping[str, Any]]) -> "Prices":
        """Returns a copy with tiers.

        `changes` has, for each length of the prompt, the prices that change above it. All other prices of a tier are
        those of the tier below it.
        """
        tiers: list[PriceTier] = []
        prices = {kind.name: getattr(self, kind.name) for kind in fields(TokenPrices)}
        for above_input_tokens in sorted(changes):
            prices |= changes[above_input_tokens]
            tiers.append(PriceTier(above_input_tokens=above_input_tokens, **prices))
        return replace(self, tiers=tuple(tiers))

    def find_prices(self, input_tokens: int) -> TokenPrices:
        """Returns the prices for a prompt of this length. They apply to the whole prompt, not only to a part of it."""
        if not self.tiers:
            return self
        for tier in reversed(self.tiers):
            if input_tokens > tier.above_input_tokens:
                return tier
        return self


class CostSum(Struct):
    """The cost of model calls, added up call by call, so that no call is priced again when the next one ends."""

    _models: dict[str, dict[TokenKind, list[int]]] = field(default_factory=dict)
    """The tokens of each kind by model, and what they cost in millionths of a nano-dollar."""
    unpriced_model: str = ""
    """A model of which a price that was needed is not known. Empty when every price is."""

    def add(self, model: str, usage: Usage, prices: Prices) -> None:
        """Adds a model call at these prices of its model."""
        sums = self._models.setdefault(model, {})
        for kind, tokens, price in prices.find_prices(usage.input_tokens).price_tokens(usage):
            if not tokens:
                continue
            if price is None:
                self.unpriced_model = model
                return
            if (sum_so_far := sums.get(kind)) is None:
                sums[kind] = [tokens, tokens * price]
            else:
                sum_so_far[0] += tokens
                sum_so_far[1] += tokens * price
        if not sums and prices.input is None and prices.output is None:
            self.unpriced_model = model

    def build_cost(self) -> Cost | None:
        """Returns the cost of all calls so far. Returns None when there was no call, or when a price is not known."""
        if not self._models or self.unpriced_model:
            return None
        items = []
        for model, sums in self._models.items():
            for kind in _TOKEN_KINDS:
                if kind in sums:
                    tokens, amount = sums[kind]
                    items.append(CostItem(model, kind, tokens, _round_amount(amount)))
        return Cost(tuple(items))


def _price_or_base(price: int | None, base: int | None) -> int | None:
    return base if price is None else price


def _round_amount(amount: int) -> int:
    """Converts millionths of a nano-dollar to nano-dollars, rounded half to even."""
    quotient, rest = divmod(amount, _TOKENS_PER_PRICE)
    if not rest:
        return quotient
    twice = rest * 2
    return quotient + (twice > _TOKENS_PER_PRICE or (twice == _TOKENS_PER_PRICE and quotient % 2 == 1))
