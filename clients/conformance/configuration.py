"""Builds the configuration of the suite's servers: a model for each one that a scenario names, and the callers."""

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
    OrchestrationUse,
    ProxyEntry,
    RuleCondition,
    RuleEntry,
    Settings,
    ToolEntry,
    hash_token,
    read_model_entry,
)
from reasoning_grpc.domain import CallerLimits, Secret
from tests.support.upstream import FakeUpstream

RESTRICTED_TOKEN: Final = "restricted-token"
"""The token of a caller that may use only the default model and the route passthrough."""
OWN_KEY_TOKEN: Final = "own-key-token"
"""The token of a caller whose calls use its own key at the upstream."""
LIMITED_TOKEN: Final = "limited-token"
"""The token of a caller that may have one call in flight, and 100 tokens a minute."""
DEFAULT_MODEL: Final = "default"
CLASSIFIER_MODEL: Final = "classifier"
HELD_MODEL: Final = "held"
"""The model whose calls do not end: they keep a server from stopping, and a caller at its limit."""
PROXY: Final = "proxy"
"""The name of the upstream that plays the LiteLLM proxy. No model has this name."""
OWN_MODELS: Final = frozenset({DEFAULT_MODEL, CLASSIFIER_MODEL, HELD_MODEL})
"""The models that the servers have in addition to those of the scenarios."""
_UPSTREAM_KEYS: Final = {"UPSTREAM_KEY": "sk-conformance"}
_RULES: Final = (RuleEntry(id="labelled", when=RuleCondition(labels={"日本": "👍"}), route="passthrough"),)


def group_by_model(scenarios: Iterable[Scenario]) -> dict[str, list[ScriptedUpstream]]:
    """Returns, for each model, the scripts of its upstream in the order of the scenarios."""
    found: dict[str, list[ScriptedUpstream]] = {}
    for scenario in scenarios:
        for name, script in scenario.upstreams.items():
            found.setdefault(name, []).append(script)
    return found


def build_config(scenarios: Iterable[Scenario], upstreams: Mapping[str, FakeUpstream], refusing: str) -> Config:
    """Builds the configuration with the models of all scenarios. Raises ConfigError.

    `refusing` is an address that refuses connections.
    """
    models = {name: scripts[0] for name, scripts in group_by_model(scenarios).items()}
    problems: list[str] = []
    entries = list(_build_entries(models, upstreams, refusing, problems))
    if problems:
        raise ConfigError(problems)
    return Config(
        settings=_build_settings(),
        models={entry.name: entry for entry in entries},
        callers={caller.name: caller for caller in _build_callers()},
        proxy=ProxyEntry(base_url=f"http://127.0.0.1:{upstreams[PROXY].port}", api_key=Secret("sk-proxy")),
        classifier=ClassifierEntry(model=CLASSIFIER_MODEL, cache_entries=0),
        tools={entry.name: entry for entry in _build_tools()},
        rules=_RULES,
    )


def _build_tools() -> Iterator[ToolEntry]:
    for name in ("ask", "fail", "send"):
        yield ToolEntry(name=name, function=f"clients.conformance.tools:{name}", needs_approval=name == "send")


def _build_settings() -> Settings:
    return Settings(
        # What calls share would let one scenario decide on another.
        breaker_min_calls=1_000_000,
        max_cooldown_seconds=0.0,
        max_loop_lag_seconds=60.0,
        listen="127.0.0.1:0",
        default_model=DEFAULT_MODEL,
        max_retries=1,
        stall_timeout_seconds=3,
        max_messages=100,
        orchestration=OrchestrationUse.REQUESTED,  # the scripts of the classifier choose between two routes
    )


def _build_entries(
    models: Mapping[str, ScriptedUpstream], upstreams: Mapping[str, FakeUpstream], refusing: str, problems: list[str]
) -> Iterator[ModelEntry]:
    for name in OWN_MODELS - models.keys():
        yield _build_entry(name, {}, upstreams[name].api_base, problems)
    for name, script in models.items():
        if script.is_proxied:
            continue
        api_base = refusing if script.refuses_connections else upstreams[name].api_base_for(script.protocol)
        table = {"litellm_model": f"{script.protocol}/{name}", **_convert_floats(script.entry)}
        yield _build_entry(name, table, api_base, problems)


def _build_entry(name: str, table: Json, api_base: str, problems: list[str]) -> ModelEntry:
    whole = {"litellm_model": f"openai/{name}", "api_base": api_base, "api_key_env": "UPSTREAM_KEY", **table}
    return read_model_entry(name, whole, _UPSTREAM_KEYS, problems)


def _convert_floats(table: Json) -> dict[str, Any]:
    """Converts floats to decimals, as the reader of the configuration file does."""
    return {key: Decimal(str(value)) if isinstance(value, float) else value for key, value in table.items()}


def _build_callers() -> Iterator[CallerEntry]:
    yield CallerEntry(name="conformance", token_hash=hash_token(DEFAULT_TOKEN))
    yield CallerEntry(
        name="restricted",
        token_hash=hash_token(RESTRICTED_TOKEN),
        allowed_models=frozenset({DEFAULT_MODEL}),
        allowed_routes=frozenset({"passthrough"}),
    )
    own_keys = {"litellm_proxy/*": Secret("sk-own")}
    yield CallerEntry(
        name="limited",
        token_hash=hash_token(LIMITED_TOKEN),
        limits=CallerLimits(calls_in_flight=1, tokens_per_minute=100),
    )
    yield CallerEntry(name="own-key", token_hash=hash_token(OWN_KEY_TOKEN), upstream_keys=own_keys)
