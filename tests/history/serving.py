"""The server process of a history, its models and their prices."""

import json
from pathlib import Path
from typing import Final

from tests.history.upstream import JUDGE, MODEL_OF_DELTA
from tests.support.upstream import FakeUpstream

PRICES: Final = {
    "alpha": (1, 3),
    "beta": (5, 7),
    "gamma": (11, 13),
    "native": (17, 19),
    "dead": (23, 29),
    "delta": (41, 43),
    JUDGE: (31, 37),
}
"""US dollars for a million input and output tokens, which are thousands of nano-dollars for one."""
FALLBACKS: Final = {"beta": ("gamma",), "native": ("alpha",), "dead": ("alpha",)}
"""The fallback models of the configuration."""
LIMIT_SECONDS: Final = 2.0
"""How long the server waits for the first token, and for each further one, if a history names no other limit."""
MAX_RETRIES: Final = 2
_OPTIONS: Final = f"""
default_model = "alpha"
max_retries = {MAX_RETRIES}
first_token_timeout_seconds = LIMIT
stall_timeout_seconds = LIMIT
# What calls share would make the outcome of one depend on others, and a replay by its seed impossible.
breaker_min_calls = 1000000
max_retry_share = 1.0
max_cooldown_seconds = 0
upstream_queue_seconds = 60
max_loop_lag_seconds = 60
[classifier]
strategy = "model"
model = "{JUDGE}"
timeout_seconds = LIMIT_OF_CLASSIFIER
"""


def write_config(
    folder: Path, upstream: FakeUpstream, refusing_api_base: str, limit_seconds: float = LIMIT_SECONDS
) -> None:
    """Writes the configuration of a server whose models are all this upstream, except one that nobody serves."""
    options = _OPTIONS.replace("LIMIT_OF_CLASSIFIER", str(2.5 * limit_seconds)).replace("LIMIT", str(limit_seconds))
    litellm_models = {"delta": f"anthropic/{MODEL_OF_DELTA}"}
    addresses = {"dead": refusing_api_base, "delta": upstream.api_base_for("anthropic")}
    further = {
        "alpha": 'capabilities = ["json_schema"]',
        "native": 'native_tools = true\ncapabilities = ["json_schema", "tools"]',
        JUDGE: 'capabilities = ["json_schema"]',
    }
    tables = [
        f'[models.{name}]\nlitellm_model = "{litellm_models.get(name, f"openai/{name}")}"\napi_key_env = "FAKE_KEY"\n'
        f'api_base = "{addresses.get(name, upstream.api_base)}"\n'
        f"input_usd_per_million = {price[0]}\noutput_usd_per_million = {price[1]}\n{further.get(name, '')}\n"
        f"fallback_models = {json.dumps(FALLBACKS.get(name, ()))}\n"
        for name, price in PRICES.items()
    ]
    (folder / "reasoning.toml").write_text(options + "".join(tables))
