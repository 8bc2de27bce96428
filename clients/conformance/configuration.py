"""What the servers of the suite are configured with: a model for each that a scenario names, and callers."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from clients.conformance.scenario import DEFAULT_TOKEN, Json, Scenario, ScriptedUpstream
from reasoning_grpc.config import (
    CallerEntry,
    ClassifierEntry,
    Config,
    ConfigError,
    ModelEntry,
    ProxyEntry,
    RuleCondition,
    RuleEntry,
    Settings,
    ToolEntry,
    hash_token,
)
from reasoning_grpc.config.model_entry import read_model_entry
from reasoning_grpc.domain import Secret
from tests.support.upstream import FakeUpstream

RESTRICTED_TOKEN: Final = "restricted-token"
"""May use the default model and passthrough alone."""
OWN_KEY_TOKEN: Final = "own-key-token"
"""Its calls use a key of the caller's own upstream."""
DEFAULT_MODEL: Final = "default"
CLASSIFIER_MODEL: Final = "classifier"
HELD_MODEL: Final = "held"
"""The model whose call keeps the draining server from stopping."""
PROXY: Final = "proxy"
"""Not a model: the upstream that serves those of a LiteLLM proxy."""
OWN_MODELS: Final = frozenset({DEFAULT_MODEL, CLASSIFIER_MODEL, HELD_MODEL})
"""Models that are there whatever the scenarios."""
_UPSTREAM_KEYS: Final = {"UPSTREAM_KEY": "sk-conformance"}
_RULES: Final = (RuleEntry(id="labelled", when=RuleCondition(labels={"日本": "👍"}), route="passthrough"),)


def scripted(scenarios: Iterable[Scenario]) -> dict[str, list[ScriptedUpstream]]:
    """What is told of each model, in the order of the scenarios."""
    found: dict[str, list[ScriptedUpstream]] = {}
    for scenario in scenarios:
        for name, upstream in scenario.upstreams.items():
            found.setdefault(name, []).append(upstream)
    return found


def configuration(scenarios: Iterable[Scenario], upstreams: Mapping[str, FakeUpstream], refusing: str) -> Config:
    """The configuration with the models of all scenarios; `refusing` is an address. Raises ConfigError."""
    models = {name: told[0] for name, told in scripted(scenarios).items()}
    problems: list[str] = []
    entries = list(_entries(models, upstreams, refusing, problems))
    if problems:
        raise ConfigError(problems)
    return Config(
        settings=_settings(),
        models={entry.name: entry for entry in entries},
        callers={caller.name: caller for caller in _callers()},
        proxy=ProxyEntry(base_url=f"http://127.0.0.1:{upstreams[PROXY].port}", api_key=Secret("sk-proxy")),
        classifier=ClassifierEntry(model=CLASSIFIER_MODEL, cache_entries=0),
        tools={"fail": ToolEntry(name="fail", function="clients.conformance.tools:fail")},
        rules=_RULES,
    )


def _settings() -> Settings:
    return Settings(
        listen="127.0.0.1:0", default_model=DEFAULT_MODEL, max_retries=1, stall_timeout_seconds=3, max_messages=100
    )


def _entries(
    models: Mapping[str, ScriptedUpstream], upstreams: Mapping[str, FakeUpstream], refusing: str, problems: list[str]
) -> Iterator[ModelEntry]:
    for name in OWN_MODELS - models.keys():
        yield _entry(name, {}, upstreams[name].api_base, problems)
    for name, told in models.items():
        if told.proxied:
            continue
        api_base = refusing if told.refuses else upstreams[name].api_base_for(told.protocol)
        yield _entry(name, {"litellm_model": f"{told.protocol}/{name}", **_as_in_toml(told.entry)}, api_base, problems)


def _entry(name: str, table: Json, api_base: str, problems: list[str]) -> ModelEntry:
    whole = {"litellm_model": f"openai/{name}", "api_base": api_base, "api_key_env": "UPSTREAM_KEY", **table}
    return read_model_entry(name, whole, _UPSTREAM_KEYS, problems)


def _as_in_toml(table: Json) -> dict[str, Any]:
    """The table as the configuration's reader has it: with decimals."""
    return {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in table.items()}


def _callers() -> Iterator[CallerEntry]:
    yield CallerEntry(name="conformance", token_hash=hash_token(DEFAULT_TOKEN))
    yield CallerEntry(
        name="restricted",
        token_hash=hash_token(RESTRICTED_TOKEN),
        allowed_models=frozenset({DEFAULT_MODEL}),
        allowed_routes=frozenset({"passthrough"}),
    )
    yield CallerEntry(name="own-key", token_hash=hash_token(OWN_KEY_TOKEN), upstream_key=Secret("sk-own"))
