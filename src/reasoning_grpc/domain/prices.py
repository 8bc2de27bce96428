"""What tokens cost: the prices of a model, and the money that they make of usage."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final

from reasoning_grpc.domain.usage import Usage

_TOKENS_PER_PRICE: Final = 1_000_000


class TokenKind(StrEnum):
    """A kind of token with a price of its own."""

    INPUT = "INPUT"
    CACHED_INPUT = "CACHED_INPUT"
    CACHE_WRITE = "CACHE_WRITE"
    AUDIO_INPUT = "AUDIO_INPUT"
    OUTPUT = "OUTPUT"
    REASONING = "REASONING"


@dataclass(frozen=True, slots=True)
class CostItem:
    """Money spent on one kind of token of one model, in nano-dollars."""

    model: str
    kind: TokenKind
    tokens: int
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Money spent, in nano-dollars: the sum of items that are each rounded half to even."""

    items: tuple[CostItem, ...]

    @property
    def total_nano_usd(self) -> int:
        """The sum of the items."""
        return sum(item.nano_usd for item in self.items)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.items + other.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrices:
    """Nano-dollars for a million tokens of each kind; None: not known."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    """None: the price of `input`."""
    cache_write: int | None = None
    """None: the price of `input`."""
    audio_input: int | None = None
    """None: the price of `input`."""
    reasoning: int | None = None
    """None: the price of `output`."""

    def priced(self, usage: Usage) -> Iterator[tuple[TokenKind, int, int | None]]:
        """The tokens of one model call by kind, with the price of each."""
        cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
        fresh = max(0, usage.input_tokens - cached - written)
        audio = min(fresh, usage.audio_input_tokens or 0) if self.audio_input is not None else 0
        reasoning = min(usage.output_tokens, usage.reasoning_tokens or 0) if self.reasoning is not None else 0
        # Nobody says how much of the cached prompt was audio, which is cached at a price of its own.
        cached_price = None if cached and audio else _either(self.cached_input, self.input)
        yield TokenKind.INPUT, fresh - audio, self.input
        yield TokenKind.CACHED_INPUT, cached, cached_price
        yield TokenKind.CACHE_WRITE, written, _either(self.cache_write, self.input)
        yield TokenKind.AUDIO_INPUT, audio, self.audio_input
        yield TokenKind.OUTPUT, usage.output_tokens - reasoning, self.output
        yield TokenKind.REASONING, reasoning, self.reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTier(TokenPrices):
    """The prices of every token of a model call with a long prompt."""

    above_input_tokens: int
    """The longest prompt that is still too short for this tier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices(TokenPrices):
    """The prices of a model."""

    tiers: tuple[PriceTier, ...] = ()
    """Prices for longer prompts, whole ones, by rising length."""

    def with_tiers(self, changes: Mapping[int, Mapping[str, Any]]) -> "Prices":
        """The same with tiers: for each length of the prompt what changes above it; the rest stays as below."""
        tiers: list[PriceTier] = []
        prices = {kind.name: getattr(self, kind.name) for kind in fields(TokenPrices)}
        for above_input_tokens in sorted(changes):
            prices |= changes[above_input_tokens]
            tiers.append(PriceTier(above_input_tokens=above_input_tokens, **prices))
        return replace(self, tiers=tuple(tiers))

    def cost(self, model: str, usages: Iterable[Usage]) -> Cost | None:
        """What these model calls cost together; None when a price that they need is not known."""
        tokens = dict.fromkeys(TokenKind, 0)
        amounts = dict.fromkeys(TokenKind, 0)  # in millionths of a nano-dollar
        for usage in usages:
            for kind, count, price in self._for_prompt(usage.input_tokens).priced(usage):
                if count and price is None:
                    return None
                tokens[kind] += count
                amounts[kind] += count * (price or 0)
        items = [CostItem(model, kind, count, _rounded(amounts[kind])) for kind, count in tokens.items() if count]
        if not items and self.input is None and self.output is None:
            return None
        return Cost(tuple(items))

    def _for_prompt(self, input_tokens: int) -> TokenPrices:
        """The prices for a prompt of this length: a longer one is dearer as a whole, not in what is above."""
        return next((tier for tier in reversed(self.tiers) if input_tokens > tier.above_input_tokens), self)


def _either(own: int | None, standard: int | None) -> int | None:
    return standard if own is None else own


def _rounded(amount: int) -> int:
    """Millionths of a nano-dollar as nano-dollars, half to even."""
    quotient, rest = divmod(amount, _TOKENS_PER_PRICE)
    twice = rest * 2
    return quotient + (twice > _TOKENS_PER_PRICE or (twice == _TOKENS_PER_PRICE and quotient % 2 == 1))
