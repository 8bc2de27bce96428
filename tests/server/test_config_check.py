"""A configuration that this build cannot serve is refused before anything starts."""

from typing import Final

import pytest

from reasoning_grpc.config import (
    CallerEntry,
    Config,
    ConfigError,
    ProxyEntry,
)
from reasoning_grpc.config.settings import EmbeddedUse
from reasoning_grpc.embedded.naming import BUNDLED_NAME
from reasoning_grpc.server.config_check import find_config_problems
from reasoning_grpc.server.server import Server
from tests.support.configuration import TOKEN_HASH
from tests.support.serving import config_for, model_entry

PROXY_URL: Final = "http://127.0.0.1:4000"


API_BASE: Final = "http://127.0.0.1:9/v1"
CASES = [
    pytest.param(config_for(model_entry(API_BASE, "m")), [], id="valid"),
    pytest.param(Config(), [], id="the embedded model alone"),
    pytest.param(
        config_for(model_entry(API_BASE, "m", litellm_model="text-completion-openai/m")),
        ["models.m.litellm_model: text-completion-openai completes texts; only chat is served"],
        id="a provider of text completion",
    ),
    pytest.param(
        config_for(model_entry("", "m", litellm_model="azure/m")),
        ["models.m.api_base: is missing; azure has no address of its own"],
        id="azure without an address",
    ),
    pytest.param(
        config_for(model_entry("", "m", litellm_model="anthropic/claude")),
        [],
        id="another provider, where it is",
    ),
    pytest.param(
        config_for(model_entry("", "m", litellm_model="custom_openai/m")),
        ["models.m.api_base: is missing; custom_openai has no address of its own"],
        id="no address",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m"), default_model="n"),
        ["default_model: 'n' is not a model of this configuration"],
        id="an unknown default",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m"), model_entry(API_BASE, "n"), default_model=""),
        ["default_model: is missing; there are several models"],
        id="no default of several",
    ),
    pytest.param(config_for(model_entry(API_BASE, "m"), default_model=""), [], id="no default of one"),
    pytest.param(
        config_for(model_entry(API_BASE, "m"), default_model="", embedded=EmbeddedUse.ON), [], id="the embedded default"
    ),
    pytest.param(
        config_for(model_entry(API_BASE, BUNDLED_NAME), embedded=EmbeddedUse.ON),
        [f"models.{BUNDLED_NAME}: the embedded model has this name"],
        id="the embedded model's name",
    ),
    pytest.param(
        config_for(
            model_entry(API_BASE, "m"),
            callers={"a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=frozenset({"m", "x", "n"}))},
        ),
        ["callers.a.allowed_models: 'n' is not a model", "callers.a.allowed_models: 'x' is not a model"],
        id="a caller of unknown models",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m", fallback_models=("n",))),
        ["models.m.fallback_models: 'n' is not another model"],
        id="an unknown fallback",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m", fallback_models=(BUNDLED_NAME,)), embedded=EmbeddedUse.ON),
        [],
        id="the embedded model as fallback",
    ),
    pytest.param(
        config_for(
            model_entry(API_BASE, "m", fallback_models=("z",)),
            proxy=ProxyEntry(base_url=PROXY_URL),
            default_model="y",
            callers={"a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=frozenset({"x"}))},
        ),
        [],
        id="names that the proxy may have",
    ),
    pytest.param(
        config_for(
            model_entry(API_BASE, "m"),
            model_entry(API_BASE, "n"),
            proxy=ProxyEntry(base_url=PROXY_URL),
            default_model="",
        ),
        [],
        id="no default beside a proxy",
    ),
    pytest.param(
        config_for(
            model_entry("", "m", litellm_model="hosted_vllm/m"),
            default_model="n",
            callers={"a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=frozenset({"n"}))},
        ),
        [
            "models.m.api_base: is missing; hosted_vllm has no address of its own",
            "default_model: 'n' is not a model of this configuration",
            "callers.a.allowed_models: 'n' is not a model",
        ],
        id="all at once",
    ),
]


@pytest.mark.parametrize(("config", "expected"), CASES)
def test_a_configuration_that_cannot_be_served_is_refused(config: Config, expected: list[str]) -> None:
    """Each part of a configuration that this build cannot serve is reported, and no server can be built from it."""
    assert find_config_problems(config) == expected
    if expected:
        with pytest.raises(ConfigError) as failed:
            Server(config)
        assert failed.value.problems == expected
