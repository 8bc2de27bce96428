"""`ProxyEntry`: the LiteLLM proxy behind the server, and how its environment variables are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.config.table_reader import VISIBLE_ASCII, find_url_problem
from reasoning_grpc.domain import Secret

PROXY_URL_VARIABLE: Final = "LITELLM_BASE_URL"
PROXY_KEY_VARIABLE: Final = "LITELLM_API_KEY"
PROXY_PREFIX: Final = "litellm_proxy/"
"""litellm's prefix for models behind a LiteLLM proxy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyEntry:
    """The LiteLLM proxy behind the server: `LITELLM_BASE_URL` and `LITELLM_API_KEY`."""

    base_url: str
    """The address without the /v1 at its end."""
    api_key: Secret = field(default_factory=lambda: Secret(""))

    @property
    def api_base(self) -> str:
        """The address at which the proxy speaks the OpenAI protocol."""
        return f"{self.base_url}/v1"


def read_proxy_entry(environment: Mapping[str, str], problems: list[str]) -> ProxyEntry | None:
    """Returns the LiteLLM proxy that the environment names; None when it names none."""
    url, key = environment.get(PROXY_URL_VARIABLE, ""), environment.get(PROXY_KEY_VARIABLE, "")
    if not url:
        return None
    if problem := _find_proxy_url_problem(url):
        problems.append(f"{PROXY_URL_VARIABLE}: {problem}")
    if key and not VISIBLE_ASCII.fullmatch(key):
        problems.append(f"{PROXY_KEY_VARIABLE}: must be visible ASCII characters")
    return ProxyEntry(base_url=url.rstrip("/").removesuffix("/v1").rstrip("/"), api_key=Secret(key))


def _find_proxy_url_problem(value: str) -> str:
    problem = find_url_problem(value, "http://127.0.0.1:4000", PROXY_KEY_VARIABLE)
    return problem or ("must have no query and no fragment" if "?" in value or "#" in value else "")
