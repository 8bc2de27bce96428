"""Converts the prices that litellm lists to our `Prices`; any member may be missing, null or of another type.

Measured on litellm 1.106.2; `tests/litellm_model/test_litellm_costs.py` compares our costs with those of litellm's
calculator. Batch, flex and priority prices are left out, because we send no such requests.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec.structs import fields

from reasoning_grpc.domain import Prices, TokenPrices

_MEMBERS: Final[Mapping[str, str]] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached_input": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "long_cache_write": "cache_creation_input_token_cost_above_1hr",
    "audio_input": "input_cost_per_audio_token",
    "reasoning": "output_cost_per_reasoning_token",
}
"""litellm's name for each of our prices."""
_TIER_MEMBER: Final = re.compile(rf"({'|'.join(_MEMBERS.values())})_above_(\d+)(k?)_tokens")
_PRICE_OF_MEMBER: Final = {member: name for name, member in _MEMBERS.items()}
_UNKNOWN: Final[Mapping[str, int | None]] = {price.name: None for price in fields(TokenPrices)}
_NANO_PER_MILLION_TOKENS: Final = 10**15
_MOST: Final = 10**15

_FEES: Final = ("input_cost_per_request", "citation_cost_per_token")
"""Charges beside those for the counted tokens."""
_CONDITIONS: Final = ("off_peak_pricing", "regional_endpoint_uplift_multiplier")
"""Prices that depend on the hour, or on where the model runs."""
_OTHER_UNITS: Final = ("cost_per_second", "input_cost_per_second", "output_cost_per_second", "input_cost_per_character")
"""Units that are charged instead of tokens, where tokens have no price or a price of zero."""
_INCLUSIVE: Final = frozenset({"xai"})
"""Providers that charge a tier's prices for prompts of exactly its length, too."""
_CACHED_AT_HALF: Final = frozenset({"fireworks_ai"})
"""Providers that charge half of the input price for cached input, if no other price is listed."""


def read_prices(members: Mapping[str, Any]) -> Prices:
    """Returns what tokens cost; no price is known where the cost of a call does not depend on its tokens alone."""
    if _charges_more_than_tokens(members):
        return Prices()
    table = members.get("tiered_pricing")
    return _read_table(table, members) if table else _read_members(members)


def read_number(value: object) -> int | float | None:
    """Returns the value if it is a number of a sensible size."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST <= value <= _MOST:
        return None
    return value


def _charges_more_than_tokens(members: Mapping[str, Any]) -> bool:
    """Whether the cost depends on fees, or on conditions, that the count of tokens does not show."""
    charges_tokens = any(
        read_number(members.get(member)) for member in ("input_cost_per_token", "output_cost_per_token")
    )
    return (
        any(members.get(member) for member in (*_FEES, *_CONDITIONS))
        or (not charges_tokens and any(members.get(member) is not None for member in _OTHER_UNITS))
        or _always_searches(members)
    )


def _always_searches(members: Mapping[str, Any]) -> bool:
    """Whether every call pays for a search, too; other models search only on request."""
    searches = members.get("litellm_provider") == "perplexity" or "search" in str(members.get("key"))
    return searches and bool(members.get("search_context_cost_per_query"))


def _read_members(members: Mapping[str, Any]) -> Prices:
    """Reads members such as `input_cost_per_token`, and `input_cost_per_token_above_200k_tokens` for long prompts."""
    provider = str(members.get("litellm_provider"))
    prices = {name: _read_price(members.get(member)) for name, member in _MEMBERS.items()}
    if provider in _CACHED_AT_HALF and prices["cached_input"] is None and prices["input"] is not None:
        prices["cached_input"] = prices["input"] // 2
    changes: dict[int, dict[str, int | None]] = {}
    for member, value in members.items():
        if value is None or not (found := _TIER_MEMBER.fullmatch(member)):
            continue
        above = int(found[2]) * (1000 if found[3] else 1) - (provider in _INCLUSIVE)
        changes.setdefault(above, {})[_PRICE_OF_MEMBER[found[1]]] = _read_price(value)
    # If a price of a tier cannot be read, all its prices are unknown: the prices below the tier would be wrong.
    # The price of a longer cache is not inherited either, because litellm lists it for few tiers.
    known = {
        above: _UNKNOWN if None in change.values() else {"long_cache_write": None, **change}
        for above, change in changes.items()
    }
    return Prices(**_remove_redundant(prices)).add_tiers(known)


def _read_table(table: object, members: Mapping[str, Any]) -> Prices:
    """Reads `tiered_pricing`: a list of prices, each with the `range` of the prompt's length."""
    rows = _index_by_length(table)
    output = _read_price(members.get("output_cost_per_token"))
    priced = {
        above: _remove_redundant({name: _read_price(row.get(member)) for name, member in _MEMBERS.items()}, output)
        for above, row in rows.items()
    }
    if 0 not in priced:
        return Prices()
    return Prices(**priced.pop(0)).add_tiers(priced)


def _index_by_length(table: object) -> dict[int, Mapping[str, Any]]:
    """Returns the rows of a table by the length that their prompts exceed; empty when any row cannot be read."""
    rows: dict[int, Mapping[str, Any]] = {}
    for row in table if isinstance(table, list) else []:
        bounds = row.get("range") if isinstance(row, dict) else None
        start = read_number(bounds[0]) if isinstance(bounds, list) and len(bounds) == 2 else None
        if start is None or start < 0 or start in rows:
            return {}
        rows[int(start)] = row
    return rows


def _remove_redundant(prices: Mapping[str, int | None], output: int | None = None) -> dict[str, Any]:
    """Returns the arguments of `Prices`, without prices that equal their base; a missing output price is `output`."""
    result = dict(prices)
    if result["output"] is None:
        result["output"] = output
    if result["reasoning"] == result["output"]:
        result["reasoning"] = None
    if result["audio_input"] == result["input"]:
        result["audio_input"] = None
    return result


def _read_price(value: object) -> int | None:
    """Converts US dollars a token to nano-dollars for a million tokens; more than a dollar a token is no price."""
    number = read_number(value)
    if number is None or not 0 <= number <= 1:
        return None
    return round(Decimal(str(number)) * _NANO_PER_MILLION_TOKENS)
