"""`PriceMap`: limits, prices and capabilities of the models that litellm knows, from the file in its package.

The file is read without importing litellm, which takes seconds; it is never fetched.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts, facts_in, may_chat

_FILE: Final = "model_prices_and_context_window_backup.json"
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
"""The server whose prices are listed, by litellm's prefix; OpenAI's regional ones charge more."""
_NAMED_BY_OPERATORS: Final = frozenset({"azure", "azure_ai"})
"""Prefixes after which there is the name of a deployment: it does not say which model that is."""

logger = logging.getLogger("reasoning_grpc.prices")


class PriceMap:
    """litellm's list of models. A file that is missing or malformed lists none."""

    def __init__(self, file: Path | None) -> None:
        """The file is read when a model is first looked up; None: there is none."""
        self._file = file

    @property
    def is_known(self) -> bool:
        """Whether there is a list at all."""
        return bool(self._entries)

    def facts(self, model: str) -> ModelFacts | None:
        """What is known of the model that litellm calls "PROVIDER/NAME"; None when it is not listed as one that chats.

        litellm itself goes further: it takes the price of `gpt-4o` for a `gpt-4o-2099-01-01`, that of OpenAI for
        models of other providers, and that of another region for one that is not listed. We do not guess.
        """
        prefix, _, name = model.partition("/")
        for key in self._keys(prefix, name):
            entry = _decoded(self._entries[key])
            if _is_of(prefix, entry.get("litellm_provider")) and may_chat(entry):
                return _without_zeros(facts_in(entry | {"key": key}))
        return None

    def _keys(self, prefix: str, name: str) -> Iterator[str]:
        """The keys that may be those of a model, best first, whatever their case."""
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
        try:
            data = b"" if self._file is None else self._file.read_bytes()
            return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except (OSError, ValueError, RecursionError):
            logger.warning("litellm's price map cannot be read: no price is known but those of the configuration")
            return {}

    @cached_property
    def _keys_by_lower_case(self) -> Mapping[str, str]:
        return {key.lower(): key for key in self._entries}


def listed_name(litellm_model: str, api_base: str) -> str:
    """The name in the map of a model at an address; empty where that is not the provider's own: a name says nothing.

    A server of one's own may call its model `gpt-4o` too.
    """
    prefix = litellm_model.partition("/")[0]
    if prefix in _NAMED_BY_OPERATORS or (api_base and urlsplit(api_base).hostname != _OWN_HOSTS.get(prefix, "")):
        return ""
    return litellm_model


@cache
def installed_price_map() -> PriceMap:
    """The map in litellm's package."""
    package = find_spec("litellm")  # finds it without running it
    folders = package.submodule_search_locations if package is not None else None
    return PriceMap(Path(folders[0]) / _FILE if folders else None)


def _decoded(entry: msgspec.Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(entry, type=dict[str, Any])
    except (ValueError, RecursionError):
        return {}


def _is_of(prefix: str, provider: object) -> bool:
    """Whether a model that is listed for a provider is what litellm reaches by a prefix."""
    return isinstance(provider, str) and (provider == prefix or (prefix in _FAMILIES and provider.startswith(prefix)))


def _without_zeros(facts: ModelFacts) -> ModelFacts:
    """The same, with prices of zero not known: in the map they also mean that a model is paid in another way."""
    prices = facts.prices
    return replace(facts, prices=replace(prices, input=prices.input or None, output=prices.output or None))
