"""`find_provider`: the provider behind a deployment, which the address tells where the prefix does not."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from reasoning_grpc.domain import Deployment

_OF_HOST: Final[Mapping[str, str]] = {
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "openrouter.ai": "openrouter",
}
"""The providers behind addresses that an entry with the prefix of another server may have."""
_ANY_SERVER: Final = frozenset({"openai", "custom_openai"})
"""Prefixes of servers of any kind, by their address."""


def find_provider(deployment: Deployment) -> str:
    """Returns the provider of a deployment, in litellm's words."""
    if deployment.provider not in _ANY_SERVER:
        return deployment.provider
    return _OF_HOST.get(find_host(deployment), deployment.provider)


def find_host(deployment: Deployment) -> str:
    """Returns the host of a deployment's address; empty where the address is the provider's own."""
    return urlsplit(deployment.api_base).hostname or ""
