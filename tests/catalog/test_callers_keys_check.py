"""Which names and providers the keys of a caller may have, and which models they go to."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from reasoning_grpc.catalog import has_own_key_for_listed_models, list_models_with_own_key
from reasoning_grpc.config import CallerEntry, Config, ProxyEntry
from reasoning_grpc.config.settings import EmbeddedUse
from reasoning_grpc.domain import Secret
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.server.config_check import find_config_problems
from tests.support.callers_keys import build_callers
from tests.support.configuration import TOKEN_HASH
from tests.support.serving import config_for, model_entry

HERE: Final = "http://127.0.0.1:9/v1"
GATEWAY: Final = "https://gateway.example.com/v1"
FAST: Final = model_entry("", "fast", litellm_model="openai/gpt-4o-mini")
SMART: Final = model_entry("", "smart", litellm_model="openai/gpt-4o")
OWN: Final = model_entry(HERE, "own", litellm_model="openai/qwen")
CLAUDE: Final = model_entry("", "claude", litellm_model="anthropic/claude-sonnet-4-5")
TEAM: Final = model_entry(GATEWAY, "team", litellm_model="litellm_proxy/team")
SAGEMAKER: Final = model_entry("", "sage", litellm_model="sagemaker_chat/m", untested=True)
VERTEX: Final = model_entry("", "vertex", litellm_model="vertex_ai/gemini-2.5-pro", untested=True)
BEDROCK: Final = model_entry("", "bedrock", litellm_model="bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0")
PROXY: Final = ProxyEntry(base_url="http://127.0.0.1:4000")
NO_CREDENTIALS: Final = "no caller can have its own key for {}/, whose credentials are not one key"
CASES: Final = [
    pytest.param([FAST, CLAUDE], ["fast", "anthropic/*"], [], id="a model and a provider"),
    pytest.param([FAST, SMART], ["openai/*", "fast"], [], id="a model and its provider"),
    pytest.param([BEDROCK], ["bedrock/*"], [], id="a key of Bedrock's own"),
    pytest.param(
        [FAST],
        ["fats"],
        ["callers.alice.upstream_keys.fats: is not a model of this configuration; did you mean fast?"],
        id="an unknown model",
    ),
    pytest.param(
        [FAST],
        ["openai"],
        ['callers.alice.upstream_keys.openai: is not a model; all models of a provider are "openai/*"'],
        id="a provider without a star",
    ),
    pytest.param(
        [FAST],
        ["anthropic/*"],
        ["callers.alice.upstream_keys.anthropic/*: no model of this configuration is reached as anthropic/"],
        id="a provider of no model",
    ),
    pytest.param(
        [FAST],
        ["opanai/*"],
        [
            "callers.alice.upstream_keys.opanai/*: no model of this configuration is reached as opanai/; "
            "did you mean openai/*?"
        ],
        id="a misspelt provider",
    ),
    pytest.param([FAST], ["*"], ["callers.alice.upstream_keys.*: is not a model of this configuration"], id="all"),
    pytest.param(
        [VERTEX],
        ["vertex"],
        [f"callers.alice.upstream_keys.vertex: {NO_CREDENTIALS.format('vertex_ai')}"],
        id="credentials of a machine",
    ),
    pytest.param(
        [SAGEMAKER],
        ["sagemaker_chat/*"],
        [f"callers.alice.upstream_keys.sagemaker_chat/*: {NO_CREDENTIALS.format('sagemaker_chat')}"],
        id="signed requests",
    ),
    pytest.param(
        [FAST, SMART, OWN],
        ["openai/*"],
        [
            "callers.alice.upstream_keys.openai/*: would send one key to different addresses; "
            "name the models instead (fast, smart, own)"
        ],
        id="one key for two addresses",
    ),
    pytest.param([FAST, SMART, OWN], ["openai/*", "own"], [], id="a key for each address"),
    pytest.param(
        [OWN, replace(OWN, name="other", api_base="http://127.0.0.1:9/other/v1")], ["openai/*"], [], id="one server"
    ),
]


def build_config(entries: Sequence[Any], names: Sequence[str], **options: Any) -> Config:
    """Returns the configuration of these models, and of a caller with a key of each of these names."""
    return config_for(*entries, callers=build_callers(alice=dict.fromkeys(names, "sk-own")), **options)


@pytest.mark.parametrize(("entries", "names", "expected"), CASES)
def test_names_of_keys(entries: Sequence[Any], names: Sequence[str], expected: list[str]) -> None:
    """A key that would be sent nowhere, or to the wrong server, is a problem of the configuration."""
    assert find_config_problems(build_config(entries, names)) == expected


def test_a_proxy_is_one_address() -> None:
    """A key for a LiteLLM proxy goes to the proxy that lists models, and to no other proxy beside it."""
    alone = build_config([], ["litellm_proxy/*"], proxy=PROXY)
    beside = build_config([TEAM], ["litellm_proxy/*"], proxy=PROXY, default_model="team")
    apart = build_config([TEAM], ["litellm_proxy/*", "team"], proxy=PROXY, default_model="team")

    assert find_config_problems(alone) == find_config_problems(apart) == []
    assert find_config_problems(beside) == [
        "callers.alice.upstream_keys.litellm_proxy/*: would send one key to different addresses; "
        "name the models instead (team)"
    ]


def test_a_listed_model_is_not_named() -> None:
    """A model that only a proxy lists has the key of the proxy: its name may be misspelt, which nobody would notice."""
    assert find_config_problems(build_config([], ["gpt-4o"], proxy=PROXY)) == [
        "callers.alice.upstream_keys.gpt-4o: is not a model of this configuration"
    ]


def test_the_embedded_model_has_no_key() -> None:
    """The embedded model takes no key, neither by its name nor by the provider whose protocol it speaks."""
    config = build_config([], [BUNDLED_NAME, "openai/*"], embedded=EmbeddedUse.ON)

    assert find_config_problems(config) == [
        f"callers.alice.upstream_keys.{BUNDLED_NAME}: is the embedded model, which needs no key",
        "callers.alice.upstream_keys.openai/*: no model of this configuration is reached as openai/",
    ]


def test_the_models_of_keys_are_listed() -> None:
    """The models to which a caller's own keys go are known before any call."""
    config = build_config([FAST, CLAUDE, BEDROCK], ["fast", "anthropic/*", "litellm_proxy/*"], proxy=PROXY)
    caller = config.callers["alice"]

    assert list_models_with_own_key(caller, config.models) == ["fast", "claude"]
    assert has_own_key_for_listed_models(caller, config)
    assert not has_own_key_for_listed_models(config.callers["eve"], config)


def test_an_entry_that_cannot_be_read_has_no_second_problem() -> None:
    """Whether a provider is used cannot be said when the name of a model could not be read."""
    broken = model_entry("", "m", litellm_model="gpt")
    caller = CallerEntry(name="alice", token_hash=TOKEN_HASH, upstream_keys={"openai/*": Secret("sk-own")})

    assert find_config_problems(config_for(broken, callers={"alice": caller})) == []
