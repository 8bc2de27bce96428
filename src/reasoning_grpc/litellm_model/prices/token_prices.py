"""What litellm says that tokens cost -> our Prices; any member may be missing, null or of another type.

Measured on litellm 1.106.2; `tests/litellm_model/test_litellm_costs.py` compares our costs with those of litellm's
calculator. Batch, flex and priority prices are left out, because we send no such requests.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, Final

from reasoning_grpc.domain import Prices, TokenPrices

_MEMBERS: Final[Mapping[str, str]] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "audio_input": "input_cost_per_audio_token",
    "reasoning": "output_cost_per_reasoning_token",
}
"""Each of our prices, and litellm's name for it."""
_TIER_MEMBER: Final = re.compile(rf"({'|'.join(_MEMBERS.values())})_above_(\d+)(k?)_tokens")
_KINDS: Final = {member: kind for kind, member in _MEMBERS.items()}
_UNKNOWN: Final[Mapping[str, int | None]] = {kind.name: None for kind in fields(TokenPrices)}
_NANO_PER_MILLION_TOKENS: Final = 10**15
_MOST: Final = 10**15

_FEES: Final = ("input_cost_per_request", "citation_cost_per_token")
"""Charges beside those for the tokens that are counted."""
_CONDITIONS: Final = ("off_peak_pricing", "regional_endpoint_uplift_multiplier")
"""Prices that depend on the hour, or on where the model runs."""
_OTHER_UNITS: Final = ("cost_per_second", "input_cost_per_second", "output_cost_per_second", "input_cost_per_character")
"""What is paid for instead of tokens, where tokens have no price or one of zero."""
_INCLUSIVE: Final = frozenset({"xai"})
"""Providers that charge a tier's prices from its length on, not only above it."""
_CACHED_AT_HALF: Final = frozenset({"fireworks_ai"})
"""Providers that charge half of the price of input for what is cached, if no other price is listed."""


def prices_in(members: Mapping[str, Any]) -> Prices:
    """What tokens cost; nothing is known where the price of a call is not made of tokens alone."""
    if _is_more_than_tokens(members):
        return Prices()
    table = members.get("tiered_pricing")
    return _of_table(table, members) if table else _with_tiers(members)


def number_in(value: object) -> int | float | None:
    """The value, if it is a number of a size that means something."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        return None
    return value


def _is_more_than_tokens(members: Mapping[str, Any]) -> bool:
    """Whether there are fees, or conditions, that the count of tokens does not show."""
    paid = any(number_in(members.get(member)) for member in ("input_cost_per_token", "output_cost_per_token"))
    return (
        any(members.get(member) for member in (*_FEES, *_CONDITIONS))
        or (not paid and any(members.get(member) is not None for member in _OTHER_UNITS))
        or _always_searches(members)
    )


def _always_searches(members: Mapping[str, Any]) -> bool:
    """Whether every call pays for a search as well; other models search only when a request asks for it."""
    searches = members.get("litellm_provider") == "perplexity" or "search" in str(members.get("key"))
    return searches and bool(members.get("search_context_cost_per_query"))


def _with_tiers(members: Mapping[str, Any]) -> Prices:
    """From members such as `input_cost_per_token`, and `input_cost_per_token_above_200k_tokens` for long prompts."""
    provider = str(members.get("litellm_provider"))
    prices = {kind: _price(members.get(member)) for kind, member in _MEMBERS.items()}
    if provider in _CACHED_AT_HALF and prices["cached_input"] is None and prices["input"] is not None:
        prices["cached_input"] = prices["input"] // 2
    changes: dict[int, dict[str, int | None]] = {}
    for member, value in members.items():
        if value is None or not (found := _TIER_MEMBER.fullmatch(member)):
            continue
        above = int(found[2]) * (1000 if found[3] else 1) - (provider in _INCLUSIVE)
        changes.setdefault(above, {})[_KINDS[found[1]]] = _price(value)
    # Of a tier that is not understood nothing is known, rather than the price below it.
    known = {above: _UNKNOWN if None in change.values() else change for above, change in changes.items()}
    return Prices(**_apart(prices)).with_tiers(known)


def _of_table(table: object, members: Mapping[str, Any]) -> Prices:
    """From `tiered_pricing`: a list of prices, each with the `range` of the prompt's length."""
    rows = _by_length(table)
    output = _price(members.get("output_cost_per_token"))
    priced = {
        above: _apart({kind: _price(row.get(member)) for kind, member in _MEMBERS.items()}, output)
        for above, row in rows.items()
    }
    if 0 not in priced:
        return Prices()
    return Prices(**priced.pop(0)).with_tiers(priced)


def _by_length(table: object) -> dict[int, Mapping[str, Any]]:
    """The rows of a table by the length that their prompts exceed; empty when one row is not understood."""
    rows: dict[int, Mapping[str, Any]] = {}
    for row in table if isinstance(table, list) else []:
        bounds = row.get("range") if isinstance(row, dict) else None
        start = number_in(bounds[0]) if isinstance(bounds, list) and len(bounds) == 2 else None
        if start is None or start < 0 or start in rows:
            return {}
        rows[int(start)] = row
    return rows


def _apart(prices: Mapping[str, int | None], output: int | None = None) -> dict[str, Any]:
    """The arguments of `Prices`, without what is not priced apart; `output` where there is none."""
    result = dict(prices)
    if result["output"] is None:
        result["output"] = output
    if result["reasoning"] == result["output"]:
        result["reasoning"] = None
    if result["audio_input"] == result["input"]:
        result["audio_input"] = None
    return result


def _price(value: object) -> int | None:
    """US dollars a token -> nano-dollars for a million; more than a dollar a token is no price."""
    number = number_in(value)
    if number is None or not 0 <= number <= 1:
        return None
    return round(Decimal(str(number)) * _NANO_PER_MILLION_TOKENS)
