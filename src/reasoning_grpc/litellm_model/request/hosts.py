"""`find_provider`: the provider behind a deployment, which the address tells where the prefix does not."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model.request.kept_facts import keep_by_deployment

_OF_HOST: Final[Mapping[str, str]] = {
    "aliyuncs.com": "dashscope",
    "api.cerebras.ai": "cerebras",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.together.xyz": "together_ai",
    "api.x.ai": "xai",
    "api.z.ai": "zai",
    "openrouter.ai": "openrouter",
}
"""The providers behind hosts, or behind all hosts of a domain, that an entry for a server of any kind may have."""
_ANY_SERVER: Final = frozenset({"openai", "custom_openai"})
"""Prefixes of servers of any kind, by their address."""


@keep_by_deployment
def find_provider(deployment: Deployment) -> str:
    """Returns the provider of a deployment, in litellm's words."""
    if deployment.provider not in _ANY_SERVER:
        return deployment.provider
    address = deployment.api_base
    behind = next((provider for domain, provider in _OF_HOST.items() if _is_within(address, domain)), "")
    return behind or deployment.provider


def is_within(deployment: Deployment, domain: str) -> bool:
    """Whether the address of a deployment is at this host or domain; never where it is the provider's own."""
    return _is_within(deployment.api_base, domain)


def _is_within(address: str, domain: str) -> bool:
    host = urlsplit(address).hostname or ""
    return host == domain or host.endswith(f".{domain}")
