"""The prices of a model, and the cost of the tokens that it used."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields, replace

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

    @property
    def total_nano_usd(self) -> int:
        """Returns the sum of the items."""
        return sum(item.nano_usd for item in self.items)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.items + other.items)


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

    def price_tokens(self, usage: Usage) -> Iterator[tuple[TokenKind, int, int | None]]:
        """Yields the tokens of one model call by kind, with the price of each kind; a kind may have no tokens."""
        cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
        long_written = min(written, usage.long_cache_write_tokens or 0)
        fresh = max(0, usage.input_tokens - cached - written)
        audio = min(fresh, usage.audio_input_tokens or 0) if self.audio_input is not None else 0
        reasoning = min(usage.output_tokens, usage.reasoning_tokens or 0) if self.reasoning is not None else 0
        # Providers do not report how much of the cached prompt was audio, which has its own price when it is cached.
        cached_price = None if cached and audio else _price_or_base(self.cached_input, self.input)
        yield TokenKind.INPUT, fresh - audio, self.input
        if cached:
            yield TokenKind.CACHED_INPUT, cached, cached_price
        if written:
            yield TokenKind.CACHE_WRITE, written - long_written, _price_or_base(self.cache_write, self.input)
            yield TokenKind.CACHE_WRITE, long_written, self.long_cache_write
        if audio:
            yield TokenKind.AUDIO_INPUT, audio, self.audio_input
        yield TokenKind.OUTPUT, usage.output_tokens - reasoning, self.output
        if reasoning:
            yield TokenKind.REASONING, reasoning, self.reasoning


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

    def compute_cost(self, model: str, usages: Iterable[Usage]) -> Cost | None:
        """Returns the cost of these model calls together. Returns None when a price that they need is not known."""
        tokens: dict[TokenKind, int] = {}
        amounts: dict[TokenKind, int] = {}  # in millionths of a nano-dollar
        for usage in usages:
            for kind, count, price in self._find_prices(usage.input_tokens).price_tokens(usage):
                if not count:
                    continue
                if price is None:
                    return None
                tokens[kind] = tokens.get(kind, 0) + count
                amounts[kind] = amounts.get(kind, 0) + count * price
        kinds = (kind for kind in _TOKEN_KINDS if kind in tokens)
        items = [CostItem(model, kind, tokens[kind], _round_amount(amounts[kind])) for kind in kinds]
        if not items and self.input is None and self.output is None:
            return None
        return Cost(tuple(items))

    def _find_prices(self, input_tokens: int) -> TokenPrices:
        """Returns the prices for a prompt of this length. They apply to the whole prompt, not only to a part of it."""
        return next((tier for tier in reversed(self.tiers) if input_tokens > tier.above_input_tokens), self)


def _price_or_base(price: int | None, base: int | None) -> int | None:
    return base if price is None else price


def _round_amount(amount: int) -> int:
    """Converts millionths of a nano-dollar to nano-dollars, rounded half to even."""
    quotient, rest = divmod(amount, _TOKENS_PER_PRICE)
    twice = rest * 2
    return quotient + (twice > _TOKENS_PER_PRICE or (twice == _TOKENS_PER_PRICE and quotient % 2 == 1))
