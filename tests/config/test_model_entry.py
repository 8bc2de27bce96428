"""The tables `[models.NAME]` become model entries, or are refused with a clear sentence."""

from dataclasses import replace
from typing import Final

import pytest

from reasoning_grpc.config import (
    ModelEntry,
)
from reasoning_grpc.domain import Capability, Prices, Sampling, ThinkTags
from reasoning_grpc.server.config_check import find_config_problems
from tests.support.configuration import MODEL_TABLE, expect_problems, read_toml


def test_every_key_of_a_model_entry_is_read() -> None:
    """Every key of a model's table is read, and prices become nano-dollars without rounding errors."""
    text = """
    default_model = "good/model-1.0"
    [models."good/model-1.0"]
    litellm_model = "openai/gpt-4o-mini"
    untested = true
    api_base = "https://example.com/v1"
    litellm_params = { api_version = "2025-02-01-preview", vertex_project = "p" }
    api_key_env = "GOOD_KEY"
    base_model = "azure/eu/gpt-4o-2024-08-06"
    description = "Good at all."
    capabilities = ["tools", "json_schema"]
    context_window_tokens = 128000
    max_output_tokens = 16384
    input_usd_per_million = 0.15
    output_usd_per_million = 0.6
    cached_input_usd_per_million = 0.000000001
    cache_write_usd_per_million = 1
    audio_input_usd_per_million = 2.5
    reasoning_usd_per_million = 1.2
    fallback_models = ["m"]
    provider_options = ["top_a"]
    native_tools = true
    system_prompt = "Be good."
    think_tags = "open"
    [models."good/model-1.0".defaults]
    temperature = 0
    top_p = 0.9
    top_k = 40
    max_output_tokens = 100
    [[models."good/model-1.0".price_tiers]]
    above_input_tokens = 500000
    output_usd_per_million = 0
    [[models."good/model-1.0".price_tiers]]
    above_input_tokens = 200000
    input_usd_per_million = 0.3
    output_usd_per_million = 1.2
    """

    config = read_toml(text + MODEL_TABLE, environment={"GOOD_KEY": "sk-1"})

    entry = config.models["good/model-1.0"]
    assert entry.api_key.reveal() == "sk-1"
    assert replace(entry, api_key=config.models["m"].api_key) == ModelEntry(
        name="good/model-1.0",
        litellm_model="openai/gpt-4o-mini",
        untested=True,
        api_base="https://example.com/v1",
        litellm_params={"api_version": "2025-02-01-preview", "vertex_project": "p"},
        api_key=config.models["m"].api_key,
        base_model="azure/eu/gpt-4o-2024-08-06",
        description="Good at all.",
        capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA}),
        context_window_tokens=128_000,
        max_output_tokens=16_384,
        prices=Prices(
            input=150_000_000,
            output=600_000_000,
            cached_input=1,
            cache_write=1_000_000_000,
            audio_input=2_500_000_000,
            reasoning=1_200_000_000,
        ).add_tiers({200_000: {"input": 300_000_000, "output": 1_200_000_000}, 500_000: {"output": 0}}),
        fallback_models=("m",),
        provider_options=frozenset({"top_a"}),
        native_tools=True,
        system_prompt="Be good.",
        think_tags=ThinkTags.OPEN,
        defaults=Sampling(temperature=0.0, top_p=0.9, top_k=40, max_output_tokens=100),
    )
    assert config.models["m"].api_key.reveal() == ""
    assert not config.runs_embedded
    assert find_config_problems(config) == []


BASE: Final = 'must be an http or https URL, such as "http://127.0.0.1:8000/v1"'
TOKENS: Final = "must be a whole number from 1 to 2147483647"
DOLLARS: Final = "must be US dollars for a million tokens, such as 0.15"
CAPABILITIES: Final = "audio_input, document_input, image_input, json_object, json_schema, logprobs, reasoning, tools"
BAD_ENTRIES = [
    pytest.param("litellm_model = 1", ["litellm_model: must be a string that is not empty"], id="model, a number"),
    pytest.param('litellm_model = ""', ["litellm_model: must be a string that is not empty"], id="model, empty"),
    *(
        pytest.param(
            f'litellm_model = "{value}"',
            ['litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"'],
            id=f"model {value}",
        )
        for value in ("gpt", "openai/", "/gpt")
    ),
    *(
        pytest.param(f'api_base = "{value}"', [f"api_base: {BASE}"], id=f"base {value}")
        for value in ("127.0.0.1:8000", "ftp://h/v1", "http://", "http://h:x/v1", "http://h:99999/v1", "http://[::1/v1")
    ),
    pytest.param(
        'api_base = "https://user:pass@h/v1"',
        ["api_base: must not hold a password; use api_key_env"],
        id="base with a password",
    ),
    pytest.param("api_base = true", ["api_base: must be a string"], id="base, a bool"),
    pytest.param(
        'api_key_env = "NO_SUCH"', ["api_key_env: the environment variable NO_SUCH is not set"], id="key not set"
    ),
    pytest.param(
        'api_key_env = "sk-very-secret"',
        ['api_key_env: must be the name of an environment variable, such as "OPENAI_API_KEY", and not the secret'],
        id="the key in place of the variable's name",
    ),
    pytest.param('api_key_env = "EMPTY"', ["api_key_env: the environment variable EMPTY is not set"], id="key empty"),
    pytest.param(
        'api_key = "sk-1"', ["api_key: is not a known key; did you mean api_key_env?"], id="a key in the file"
    ),
    pytest.param(
        'litellm_params = { api_version = 1, api_key = "sk-1", timeout = "1" }',
        [
            "litellm_params.api_version: must be a string",
            "litellm_params.api_key: is not a known key",
            "litellm_params.timeout: is not a known key",
        ],
        id="litellm_params",
    ),
    pytest.param("untested = 1", ["untested: must be true or false"], id="untested"),
    pytest.param("description = 1", ["description: must be a string"], id="description"),
    pytest.param(
        'capabilities = ["tools", "TOOLS", "fly"]',
        [f'capabilities: "{name}" is none of {CAPABILITIES}' for name in ("TOOLS", "fly")],
        id="capabilities",
    ),
    pytest.param('capabilities = "tools"', ["capabilities: must be a list of strings"], id="capabilities, a string"),
    pytest.param("fallback_models = [1]", ["fallback_models: must be a list of strings"], id="fallbacks"),
    pytest.param('provider_options = [""]', ["provider_options: must be a list of strings"], id="an empty option"),
    *(
        pytest.param(f"context_window_tokens = {value}", [f"context_window_tokens: {TOKENS}"], id=f"window {value}")
        for value in ("0", "-1", "2147483648", "1.5", "true", '"1"', "nan")
    ),
    *(
        pytest.param(f"input_usd_per_million = {value}", [f"input_usd_per_million: {DOLLARS}"], id=f"price {value}")
        for value in ("-0.1", "1000001", "true", '"0.15"', "nan", "inf", "-inf")
    ),
    *(
        pytest.param(
            f"defaults.temperature = {value}",
            ["defaults.temperature: must be a number from 0 to 2"],
            id=f"temperature {value}",
        )
        for value in ("-0.1", "2.1", "nan", "inf", "true", '"1"')
    ),
    pytest.param("defaults.top_p = 1.1", ["defaults.top_p: must be a number from 0 to 1"], id="top_p"),
    *(
        pytest.param(
            f'base_model = "{value}"',
            ['base_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"'],
            id=f"base model {value}",
        )
        for value in ("gpt-4o", "openai/", "/gpt-4o")
    ),
    *(
        pytest.param(f"price_tiers = {value}", ["price_tiers: must be a list of tables"], id=f"tiers {value}")
        for value in ("1", "{}", '"x"')
    ),
    pytest.param(
        "input_usd_per_million = 1\noutput_usd_per_million = 1\n"
        "price_tiers = [1, {}, { above_input_tokens = 0, color = 1 },"
        " { above_input_tokens = 9, input_usd_per_million = -1 }, { above_input_tokens = 9 }]",
        [
            "price_tiers[0]: must be a table",
            "price_tiers[0].above_input_tokens: is missing",
            "price_tiers[1].above_input_tokens: is missing",
            f"price_tiers[2].above_input_tokens: {TOKENS}",
            "price_tiers[2].color: is not a known key",
            f"price_tiers[3].input_usd_per_million: {DOLLARS}",
            "price_tiers[4].above_input_tokens: is that of another tier",
        ],
        id="tiers",
    ),
    pytest.param(
        "input_usd_per_million = 1\nprice_tiers = [{ above_input_tokens = 9 }]",
        ["price_tiers: needs input_usd_per_million and output_usd_per_million"],
        id="tiers of no price",
    ),
    *(
        pytest.param(f"think_tags = {value}", ['think_tags: must be true, false or "open"'], id=f"tags {value}")
        for value in ('"closed"', '"true"', "1", "[]")
    ),
    pytest.param("defaults.top_k = 0", [f"defaults.top_k: {TOKENS}"], id="top_k"),
    pytest.param("defaults = 1", ["defaults: must be a table"], id="defaults"),
    pytest.param(
        "defaults.seed = 1\ncolor = 1", ["defaults.seed: is not a known key", "color: is not a known key"], id="unknown"
    ),
]


@pytest.mark.parametrize(("line", "expected"), BAD_ENTRIES)
def test_a_bad_model_entry_is_refused(line: str, expected: list[str]) -> None:
    """Each mistake is reported with the entry's name and the key."""
    base = "" if line.startswith("litellm_model") else 'litellm_model = "openai/m"\n'

    found = expect_problems(f"[models.m]\n{base}{line}", environment={"EMPTY": ""})

    assert found == [f"models.m.{problem}" for problem in expected]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", ThinkTags.PAIR), ("false", ThinkTags.NONE), ('"open"', ThinkTags.OPEN)]
)
def test_think_tags_are_read(value: str, expected: ThinkTags) -> None:
    """An entry says whether its model writes think tags, and whether the first tag is left out."""
    assert read_toml(f"{MODEL_TABLE}think_tags = {value}").models["m"].think_tags is expected


NAME_RULE: Final = "a name is 1 to 128 of letters, digits and . _ : / @ -, a letter or digit first"


@pytest.mark.parametrize("name", ["", "-x", "a b", "\u00e4", "x" * 129, "../x"])
def test_a_bad_model_name_is_refused(name: str) -> None:
    """A model's name, which callers send, has at most 128 plain characters."""
    assert expect_problems(f'[models."{name}"]\nlitellm_model = "openai/m"') == [f"models.{name}: {NAME_RULE}"]
