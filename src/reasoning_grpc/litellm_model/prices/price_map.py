"""`PriceMap`: limits, prices and capabilities of the models that litellm knows, from the file in its package.

The file is read without importing litellm, which would take seconds. It is never fetched.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from reasoning_grpc.litellm_model.prices.map_file import find_map_file, read_map
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts, can_chat, read_facts

_FAMILIES: Final = frozenset({"bedrock", "fireworks_ai", "vertex_ai"})
"""Prefixes whose models are listed under several providers, such as "bedrock_converse"."""
_FINE_TUNED: Final = re.compile(r"(ft:[^:]+)(:[^:]*){3}")
"""OpenAI's name of a fine-tuned model: "ft:gpt-4o-2024-08-06:organization:suffix:id"."""
_OWN_HOSTS: Final[Mapping[str, str]] = {
    "anthropic": "api.anthropic.com",
    "deepinfra": "api.deepinfra.com",
    "deepseek": "api.deepseek.com",
    "gemini": "generativelanguage.googleapis.com",
    "groq": "api.groq.com",
    "mistral": "api.mistral.ai",
    "openai": "api.openai.com",
    "perplexity": "api.perplexity.ai",
    "xai": "api.x.ai",
}
"""The server whose prices are listed, by litellm's prefix; OpenAI's regional servers charge more."""
_NAMED_BY_OPERATORS: Final = frozenset({"azure", "azure_ai"})
"""Prefixes before the name of a deployment, which does not say which model that is."""


class PriceMap:
    """litellm's list of models. A file that is missing or malformed lists none."""

    def __init__(self, file: Path | None) -> None:
        """The file is read when a model is first looked up; None when there is no file."""
        self._file = file

    @property
    def is_known(self) -> bool:
        """Whether there is a list that can be read."""
        return bool(self._entries)

    def find_facts(self, model: str) -> ModelFacts | None:
        """Returns what is known of a model by litellm's name, "PROVIDER/NAME"; None when no chat model has that name.

        litellm itself guesses: it takes the price of `gpt-4o` for `gpt-4o-2099-01-01`, the price of OpenAI for
        models of other providers, and the price of another region where one is not listed. We do not guess.
        """
        prefix, _, name = model.partition("/")
        for key in self._find_keys(prefix, name):
            entry = _decode_entry(self._entries[key])
            if _has_provider(prefix, entry.get("litellm_provider")) and can_chat(entry):
                return _remove_zero_prices(read_facts(entry | {"key": key}, self._find_twin(key, entry)))
        return None

    def _find_twin(self, key: str, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """Returns the entry of the model of the same name without the provider's prefix; empty when there is none."""
        name = key.removeprefix(f"{entry.get('litellm_provider')}/")
        return _decode_entry(self._entries[name]) if name != key and name in self._entries else {}

    def _find_keys(self, prefix: str, name: str) -> Iterator[str]:
        """Yields the keys that a model may have in the map, in whatever case, the best one first."""
        names = [name]
        if found := _FINE_TUNED.fullmatch(name):
            names.append(found[1])
        for each in names:
            for key in (f"{prefix}/{each}", each):
                if key in self._entries:
                    yield key
                elif (lower := self._keys_by_lower_case.get(key.lower())) is not None:
                    yield lower

    @cached_property
    def _entries(self) -> Mapping[str, msgspec.Raw]:
        return read_map(self._file)

    @cached_property
    def _keys_by_lower_case(self) -> Mapping[str, str]:
        return {key.lower(): key for key in self._entries}


def find_listed_name(litellm_model: str, api_base: str) -> str:
    """Returns the name that a model at this address has in the map; empty if the address is not the provider's own.

    Any other server may call any model `gpt-4o`, so there the name says nothing.
    """
    prefix = litellm_model.partition("/")[0]
    if prefix in _NAMED_BY_OPERATORS or (api_base and urlsplit(api_base).hostname != _OWN_HOSTS.get(prefix, "")):
        return ""
    return litellm_model


@cache
def find_price_map() -> PriceMap:
    """Returns the map in litellm's package."""
    return PriceMap(find_map_file())


def _decode_entry(entry: msgspec.Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(entry, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


def _has_provider(prefix: str, provider: object) -> bool:
    """Whether litellm reaches a model that is listed for this provider by this prefix."""
    return isinstance(provider, str) and (provider == prefix or (prefix in _FAMILIES and provider.startswith(prefix)))


def _remove_zero_prices(facts: ModelFacts) -> ModelFacts:
    """Returns the facts with prices of zero as unknown: in the map, zero may mean that another unit is charged."""
    prices = facts.prices
    return replace(facts, prices=replace(prices, input=prices.input or None, output=prices.output or None))
