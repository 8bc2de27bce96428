"""The configuration: where values come from, what is refused and in which words, and that nothing is printed."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import (
    CallerEntry,
    Config,
    ConfigError,
    LogFormat,
    ModelEntry,
    ProxyEntry,
    Settings,
    hash_token,
    options,
    read_config,
)
from reasoning_grpc.config.settings import EmbeddedUse
from reasoning_grpc.domain import Capability, Prices, RoutingMode, Sampling, ThinkTags
from reasoning_grpc.embedded.process import MODEL_NAME
from reasoning_grpc.server.config_check import find_config_problems
from reasoning_grpc.server.server import Server
from tests.support.serving import config_for, model_entry

HASH: Final = hash_token("rgt_alice")
A_MODEL: Final = '[models.m]\nlitellm_model = "openai/m"\napi_base = "http://127.0.0.1:9/v1"\n'


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `reasoning.toml` but the test's own is found."""
    monkeypatch.chdir(tmp_path)


def read(text: str = "", *, flags: dict[str, Any] | None = None, environment: dict[str, str] | None = None) -> Config:
    """The configuration of a file with this text."""
    Path("reasoning.toml").write_text(text, "utf-8")
    return read_config(flags=flags or {}, environment=environment or {})


def problems(text: str = "", **sources: Any) -> list[str]:
    """All that is wrong with a configuration."""
    with pytest.raises(ConfigError) as failed:
        read(text, **sources)
    assert str(failed.value) == "\n".join(failed.value.problems)
    return failed.value.problems


def test_without_anything_the_defaults_hold() -> None:
    """No flag, no variable, no file: the server listens on loopback with the embedded model."""
    config = read_config(flags={}, environment={"PATH": "/bin", "HOME": "/root"})

    assert config == Config(settings=Settings(), models={}, callers={})
    assert config.settings.listen == "127.0.0.1:50051"
    assert config.runs_embedded


SOURCES = [
    pytest.param("default_model", "a", "b", '"c"', ("a", "b", "c", ""), id="text"),
    pytest.param("reflection", False, "true", "false", (False, True, False, True), id="bool"),
    pytest.param("max_retries", "1", "3", "4", (1, 3, 4, 2), id="whole number"),
    pytest.param("grace_seconds", "1.5", "2", "2.5", (1.5, 2.0, 2.5, 30.0), id="number"),
    pytest.param(
        "log_format",
        "json",
        "text",
        '"auto"',
        (LogFormat.JSON, LogFormat.TEXT, LogFormat.AUTO, LogFormat.AUTO),
        id="choice",
    ),
    pytest.param(
        "embedded_weights",
        "a.gguf",
        "b.gguf",
        '"c.gguf"',
        (Path("a.gguf"), Path("b.gguf"), Path("c.gguf"), None),
        id="path",
    ),
]


@pytest.mark.parametrize(("name", "flag", "variable", "in_file", "expected"), SOURCES)
def test_a_flag_precedes_the_environment_the_file_and_the_default(
    name: str, flag: Any, variable: str, in_file: str, expected: tuple[Any, Any, Any, Any]
) -> None:
    """Each source is used when those before it say nothing."""
    environment = {f"REASONING_{name.upper()}": variable}
    text = f"{name} = {in_file}"

    values = [
        getattr(config.settings, name)
        for config in (
            read(text, flags={name: flag}, environment=environment),
            read(text, flags={name: None}, environment=environment),
            read(text),
            read(),
        )
    ]

    assert values == list(expected)
    assert [type(value) for value in values] == [type(value) for value in expected]


ACCEPTED = [
    pytest.param("reflection", raw, value, id=f"{raw} is {value}")
    for raw, value in {
        "true": True,
        "1": True,
        "yes": True,
        "on": True,
        "TRUE": True,
        "false": False,
        "0": False,
        "no": False,
        "off": False,
        "Off": False,
    }.items()
] + [
    pytest.param("grace_seconds", "0", 0.0, id="the least number"),
    pytest.param("max_retries", "10", 10, id="the largest number"),
    pytest.param("stall_timeout_seconds", "1e2", 100.0, id="a number with exponent"),
    pytest.param("log_format", "JSON", LogFormat.JSON, id="a choice in any case"),
    pytest.param("default_mode", "Passthrough", RoutingMode.PASSTHROUGH, id="a mode in any case"),
    pytest.param("embedded", "on", EmbeddedUse.ON, id="the embedded model"),
    pytest.param("embedded_weights", "", None, id="an empty path is none"),
    pytest.param("default_model", "", "", id="an empty text"),
    pytest.param("listen", "[::1]:0", "[::1]:0", id="an address of IPv6"),
    pytest.param("listen", "localhost:50051", "localhost:50051", id="localhost"),
    pytest.param("listen", "127.0.0.9:1", "127.0.0.9:1", id="another address of loopback"),
]


@pytest.mark.parametrize(("name", "raw", "expected"), ACCEPTED)
def test_a_value_as_text(name: str, raw: str, expected: Any) -> None:
    """Flags and variables are text; each type reads it."""
    by_variable = read(environment={f"REASONING_{name.upper()}": raw})
    by_flag = read(flags={name: raw})

    assert getattr(by_variable.settings, name) == expected
    assert by_variable == by_flag


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param("grace_seconds = 3", "grace_seconds", 3.0, id="a whole number for a number"),
        pytest.param("grace_seconds = 0.1", "grace_seconds", 0.1, id="a number"),
        pytest.param("reflection = false", "reflection", False, id="a bool"),
        pytest.param('max_retries = "3"', "max_retries", 3, id="a number as text"),
        pytest.param('log_level = "debug"', "log_level", "debug", id="a log level"),
        pytest.param(
            'tls_certificate = "\u00e4.pem"\ntls_key = "k"', "tls_certificate", Path("\u00e4.pem"), id="UTF-8"
        ),
    ],
)
def test_a_value_in_the_file(text: str, name: str, expected: Any) -> None:
    """TOML's own types are taken."""
    value = getattr(read(text).settings, name)

    assert value == expected
    assert type(value) is type(expected)


TRUTH: Final = "must be true or false"
WHOLE: Final = "must be a whole number"
NUMBER: Final = "must be a number"
TEXT: Final = "must be a string"
LEVELS: Final = "must be one of debug, info, warning, error"
ABOVE_ZERO: Final = "must be at least 0.001"
BAD_VALUES: Final[dict[str, list[tuple[str, str]]]] = {
    "listen": [("1", TEXT), ("true", TEXT), ("[]", TEXT)],
    "allow_insecure": [('"maybe"', TRUTH), ("2", TRUTH), ("[]", TRUTH)],
    "tls_certificate": [("1", TEXT)],
    "tls_key": [("1", TEXT)],
    "tls_client_ca": [("false", TEXT)],
    "reflection": [('""', TRUTH), ("1.0", TRUTH)],
    "log_level": [('"loud"', LEVELS), ('"INFO"', LEVELS), ("1", TEXT)],
    "log_format": [('"xml"', "must be one of auto, json, text"), ("1", "must be one of auto, json, text")],
    "default_model": [("1", TEXT), ("{}", TEXT)],
    "default_mode": [('"fast"', "must be one of passthrough, reasoning, orchestration, auto")],
    "embedded": [("true", "must be one of auto, on, off"), ('""', "must be one of auto, on, off")],
    "embedded_weights": [("1", TEXT)],
    "embedded_slots": [
        ("0", "must be at least 1 and at most 64"),
        ("65", "must be at least 1 and at most 64"),
        ('"two"', WHOLE),
        ("2.0", WHOLE),
        ('"2.0"', WHOLE),
        ("true", WHOLE),
        ('""', WHOLE),
        ("[2]", WHOLE),
    ],
    "embedded_context_tokens": [("255", "must be at least 256 and at most 8192")],
    "first_token_timeout_seconds": [
        ("0", ABOVE_ZERO),
        ("-1.5", ABOVE_ZERO),
        ("true", NUMBER),
        ('"soon"', NUMBER),
        ('""', NUMBER),
        ("1" + "0" * 400, NUMBER),
        ("nan", "must be a finite number"),
        ("inf", "must be a finite number"),
        ('"nan"', "must be a finite number"),
        ('"-inf"', "must be a finite number"),
        ("1e999", "must be a finite number"),
    ],
    "stall_timeout_seconds": [("0", ABOVE_ZERO)],
    "model_call_timeout_seconds": [("0", ABOVE_ZERO)],
    "connect_timeout_seconds": [("0.0", ABOVE_ZERO)],
    "max_retries": [
        ("-1", "must be at least 0 and at most 10"),
        ("11", "must be at least 0 and at most 10"),
        ("1" + "0" * 400, "must be at least 0 and at most 10"),
    ],
    "max_upstream_connections": [("0", "must be at least 1"), ("inf", WHOLE)],
    "discovery_ttl_seconds": [("0.9", "must be at least 1")],
    "discovery_timeout_seconds": [("0", ABOVE_ZERO)],
    "max_request_bytes": [
        ("1023", "must be at least 1024 and at most 1073741824"),
        ("1073741825", "must be at least 1024 and at most 1073741824"),
    ],
    "max_messages": [("0", "must be at least 1")],
    "unknown_context_window_tokens": [("255", "must be at least 256")],
    "max_tools": [("0", "must be at least 1")],
    "agent_max_steps": [
        ("0", "must be at least 1 and at most 1000"),
        ("1001", "must be at least 1 and at most 1000"),
    ],
    "agent_max_tool_calls": [
        ("-1", "must be at least 0 and at most 10000"),
        ("10001", "must be at least 0 and at most 10000"),
    ],
    "agent_max_tokens": [("-1", "must be at least 0"), ("0.5", WHOLE)],
    "agent_max_cost_usd": [("-0.01", "must be at least 0")],
    "agent_timeout_seconds": [("0", ABOVE_ZERO)],
    "agent_step_timeout_seconds": [("0", ABOVE_ZERO)],
    "agent_tool_timeout_seconds": [("0", ABOVE_ZERO)],
    "agent_plan_prompt": [("1", TEXT)],
    "agent_native_prompt": [("true", TEXT)],
    "agent_answer_prompt": [("[]", TEXT)],
    "grace_seconds": [("-1", "must be at least 0"), ("1979-05-27", NUMBER)],
}


def test_every_option_is_tried() -> None:
    """The table of bad values has every option."""
    assert list(BAD_VALUES) == [option.name for option in options()]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        pytest.param(name, raw, message, id=f"{name} {raw[:8]}")
        for name, cases in BAD_VALUES.items()
        for raw, message in cases
    ],
)
def test_a_bad_value_is_told_where_it_stands(name: str, raw: str, message: str) -> None:
    """The message begins with the key, variable or flag that holds it, whose name the operator can look up."""
    assert problems(f"{name} = {raw}") == [f"{name}: {message}"]
    if raw.startswith('"'):
        text = raw.strip('"')
        assert problems(environment={f"REASONING_{name.upper()}": text}) == [f"REASONING_{name.upper()}: {message}"]
        assert problems(flags={name: text}) == [f"--{name.replace('_', '-')}: {message}"]


def test_every_option_explains_itself() -> None:
    """Each has a help text of one sentence, a default within its own bounds, and three names."""
    for option in options():
        assert option.help.endswith(".")
        assert option.help[0].isupper()
        assert option.flag == "--" + option.name.replace("_", "-")
        assert option.variable == "REASONING_" + option.name.upper()
        assert option.minimum is None or option.minimum <= option.default
        assert option.maximum is None or option.default <= option.maximum
    assert len({option.name for option in options()}) == len(BAD_VALUES)


def test_what_is_not_known_is_refused() -> None:
    """A slip in a key or a variable is told, never ignored; variables of others are."""
    environment = {"REASONING_LISTENN": "x", "REASONING_MODELS": "x", "PATH": "/bin", "LISTEN": "x"}

    found = problems('listne = "x"\n[server]\nlisten = "x"', environment=environment)

    assert found == [
        "listne: is not a known key",
        "server: is not a known key",
        "REASONING_LISTENN: is not a known environment variable",
        "REASONING_MODELS: is not a known environment variable",
    ]


def test_variables_of_the_client_are_known() -> None:
    """What `ask` reads does not stop `serve` in the same shell."""
    assert read(environment={"REASONING_TARGET": "h:1", "REASONING_TOKEN": "rgt_x"}) == read()


def test_all_problems_come_together() -> None:
    """Bad values of every source, entries and unknown keys are told in one go."""
    text = """
    max_retries = -1
    color = "red"
    [models.m]
    litellm_model = "gpt"
    [callers.c]
    """

    found = problems(text, flags={"grace_seconds": "soon"}, environment={"REASONING_REFLECTION": "maybe"})

    assert found == [
        "color: is not a known key",
        "REASONING_REFLECTION: must be true or false",
        "max_retries: must be at least 0 and at most 10",
        "--grace-seconds: must be a number",
        'models.m.litellm_model: must be "PROVIDER/MODEL", such as "openai/gpt-4o-mini"',
        "callers.c.token_hash: is missing",
    ]


def test_the_file_is_found(tmp_path: Path) -> None:
    """The one of the flag, else that of the variable, else `reasoning.toml` where one stands."""
    for number, name in enumerate(("flag.toml", "variable.toml", "reasoning.toml"), start=1):
        (tmp_path / name).write_text(f"max_retries = {number}")
    variable = {"REASONING_CONFIG": str(tmp_path / "variable.toml")}

    found = [
        read_config(flags={}, environment=variable, file=tmp_path / "flag.toml"),
        read_config(flags={}, environment=variable),
        read_config(flags={}, environment={}),
        read_config(flags={}, environment={"REASONING_CONFIG": ""}),
    ]

    assert [config.settings.max_retries for config in found] == [1, 2, 3, 3]


def file_problems(file: Path) -> list[str]:
    """What is wrong with a file that was named."""
    with pytest.raises(ConfigError) as failed:
        read_config(flags={}, environment={}, file=file)
    return failed.value.problems


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A file that was asked for and is missing is an error, also when a variable names it."""
    missing = tmp_path / "no.toml"

    assert file_problems(missing) == [f"{missing}: there is no such file"]
    assert problems(environment={"REASONING_CONFIG": str(missing)}) == [f"{missing}: there is no such file"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A folder, bytes that are no text, and text that is no TOML, each in a line."""
    (tmp_path / "latin.toml").write_bytes(b'default_model = "\xe4"')
    (tmp_path / "broken.toml").write_text("listen = \n")
    with pytest.raises(tomllib.TOMLDecodeError) as broken:
        tomllib.loads("listen = \n")

    assert file_problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert file_problems(tmp_path / "latin.toml") == [f"{tmp_path / 'latin.toml'}: is not UTF-8 text"]
    assert file_problems(tmp_path / "broken.toml") == [f"{tmp_path / 'broken.toml'}: is not TOML: {broken.value}"]


def test_a_model_entry_whole() -> None:
    """Every key of an entry arrives, prices in nano-dollars without rounding errors."""
    text = """
    default_model = "good/model-1.0"
    [models."good/model-1.0"]
    litellm_model = "openai/gpt-4o-mini"
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

    config = read(text + A_MODEL, environment={"GOOD_KEY": "sk-1"})

    entry = config.models["good/model-1.0"]
    assert entry.api_key.reveal() == "sk-1"
    assert replace(entry, api_key=config.models["m"].api_key) == ModelEntry(
        name="good/model-1.0",
        litellm_model="openai/gpt-4o-mini",
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
        ).with_tiers({200_000: {"input": 300_000_000, "output": 1_200_000_000}, 500_000: {"output": 0}}),
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
    pytest.param('api_key_env = "EMPTY"', ["api_key_env: the environment variable EMPTY is not set"], id="key empty"),
    pytest.param('api_key = "sk-1"', ["api_key: is not a known key"], id="a key in the file"),
    pytest.param(
        'litellm_params = { api_version = 1, api_key = "sk-1", timeout = "1" }',
        [
            "litellm_params.api_version: must be a string",
            "litellm_params.api_key: is not a known key",
            "litellm_params.timeout: is not a known key",
        ],
        id="litellm_params",
    ),
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
def test_a_bad_model_entry_is_told(line: str, expected: list[str]) -> None:
    """Each key's mistake is told under the entry's name."""
    base = "" if line.startswith("litellm_model") else 'litellm_model = "openai/m"\n'

    found = problems(f"[models.m]\n{base}{line}", environment={"EMPTY": ""})

    assert found == [f"models.m.{problem}" for problem in expected]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", ThinkTags.PAIR), ("false", ThinkTags.NONE), ('"open"', ThinkTags.OPEN)]
)
def test_think_tags(value: str, expected: ThinkTags) -> None:
    """An entry says whether its model's answers have tags, and how they begin."""
    assert read(f"{A_MODEL}think_tags = {value}").models["m"].think_tags is expected


NAME_RULE: Final = "a name is 1 to 128 of letters, digits and . _ : / @ -, a letter or digit first"


@pytest.mark.parametrize("name", ["", "-x", "a b", "\u00e4", "x" * 129, "../x"])
def test_a_bad_model_name_is_told(name: str) -> None:
    """Names are what callers send; they are plain."""
    assert problems(f'[models."{name}"]\nlitellm_model = "openai/m"') == [f"models.{name}: {NAME_RULE}"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("models = 1", ["models: must be a table of tables, such as [models.NAME]"], id="models"),
        pytest.param("callers = []", ["callers: must be a table of tables, such as [callers.NAME]"], id="callers"),
        pytest.param(
            "[models]\nm = 1", ["models.m: must be a table", "models.m.litellm_model: is missing"], id="a model"
        ),
        pytest.param(
            "[callers]\nc = 1", ["callers.c: must be a table", "callers.c.token_hash: is missing"], id="a caller"
        ),
        pytest.param(
            '[callers.c]\ntoken_hash = "rgt_plain"',
            ["callers.c.token_hash: must be what `reasoning-grpc token new` printed as the hash"],
            id="a plain token",
        ),
        pytest.param(
            f'[callers.c]\ntoken_hash = "{HASH}"\nallowed_models = "m"\nrole = 1',
            ["callers.c.allowed_models: must be a list of strings", "callers.c.role: is not a known key"],
            id="other keys of a caller",
        ),
    ],
)
def test_a_bad_table_is_told(text: str, expected: list[str]) -> None:
    """Tables of the wrong shape and bad callers, each in a line."""
    assert problems(text) == expected


def test_a_caller_entry_whole() -> None:
    """Without `allowed_models` all are allowed; an empty list allows none."""
    other = hash_token("rgt_bob")
    text = f'[callers.a]\ntoken_hash = "{HASH}"\n[callers.b]\ntoken_hash = "{other}"\nallowed_models = []\n'

    callers = read(text).callers

    assert callers == {
        "a": CallerEntry(name="a", token_hash=HASH, allowed_models=None),
        "b": CallerEntry(name="b", token_hash=other, allowed_models=frozenset()),
    }


LISTEN: Final = "listen: must be HOST:PORT, such as 127.0.0.1:50051 or [::]:50051"
CONTRADICTIONS = [
    pytest.param('tls_key = "k"', {}, ["tls_certificate and tls_key: give both or neither"], id="key alone"),
    pytest.param('tls_certificate = "c"', {}, ["tls_certificate and tls_key: give both or neither"], id="TLS alone"),
    pytest.param('tls_client_ca = "c"', {}, ["tls_client_ca: needs tls_certificate and tls_key"], id="client CA"),
    pytest.param('default_mode = "orchestration"', {}, ["default_mode: no build serves orchestration yet"], id="mode"),
    pytest.param('embedded = "off"', {}, ["there is no model: configure one, or set embedded to on"], id="no model"),
    pytest.param(
        f'{A_MODEL}[callers.a]\ntoken_hash = "{HASH}"\nupstream_key_env = "KEY"',
        {"KEY": "sk-1"},
        ["callers.a.upstream_key_env: no model is reached through a LiteLLM proxy"],
        id="a key for no proxy",
    ),
    pytest.param(
        A_MODEL + 'fallback_models = ["m"]',
        {"LITELLM_BASE_URL": "http://127.0.0.1:4000"},
        ["models.m.fallback_models: 'm' is not another model"],
        id="itself, with a proxy",
    ),
    pytest.param(
        A_MODEL + 'fallback_models = ["m"]', {}, ["models.m.fallback_models: 'm' is not another model"], id="itself"
    ),
    pytest.param(
        f'[callers.a]\ntoken_hash = "{HASH}"\n[callers.b]\ntoken_hash = "{HASH}"',
        {},
        ["callers: two callers have the same token_hash"],
        id="one token for two",
    ),
    *(
        pytest.param(f'listen = "{value}"', {}, [LISTEN], id=f"listen {value}")
        for value in ("", "50051", "127.0.0.1", "127.0.0.1:", ":50051", "127.0.0.1:http", "127.0.0.1:65536", "[::1]")
    ),
    pytest.param(
        'listen = "nowhere"\nembedded = "off"\ntls_key = "k"',
        {},
        [
            "tls_certificate and tls_key: give both or neither",
            "there is no model: configure one, or set embedded to on",
            LISTEN,
        ],
        id="several",
    ),
]


@pytest.mark.parametrize(("text", "environment", "expected"), CONTRADICTIONS)
def test_contradictions_are_told(text: str, environment: dict[str, str], expected: list[str]) -> None:
    """What single values cannot show, all of it."""
    assert problems(text, environment=environment) == expected


PROXY_URL: Final = "http://127.0.0.1:4000"


@pytest.mark.parametrize("url", [f"{PROXY_URL}{end}" for end in ("", "/", "/v1", "/v1/", "//v1//")])
def test_a_proxy_is_named_by_the_environment(url: str) -> None:
    """With or without /v1 it is the same proxy, and the embedded model does not run beside it by itself."""
    config = read(environment={"LITELLM_BASE_URL": url, "LITELLM_API_KEY": "sk-1"})

    assert config.proxy is not None
    assert (config.proxy.base_url, config.proxy.api_base) == (PROXY_URL, f"{PROXY_URL}/v1")
    assert config.proxy.api_key.reveal() == "sk-1"
    assert "sk-1" not in repr(config)
    assert not config.runs_embedded
    assert find_config_problems(config) == []


def test_a_proxy_may_be_anywhere() -> None:
    """A path before /v1 stays, the key may be missing, and the embedded model runs beside it when it is told to."""
    config = read('embedded = "on"', environment={"LITELLM_BASE_URL": "https://example.com/llm/v1"})

    assert config.proxy is not None
    assert config.proxy.api_base == "https://example.com/llm/v1"
    assert not config.proxy.api_key
    assert config.runs_embedded


@pytest.mark.parametrize("environment", [{}, {"LITELLM_BASE_URL": ""}, {"LITELLM_API_KEY": "sk-1"}])
def test_without_an_address_there_is_no_proxy(environment: dict[str, str]) -> None:
    """A key alone, which others read as well, means nothing."""
    assert read(environment=environment) == read()


PROXY_BASE: Final = f'must be an http or https URL, such as "{PROXY_URL}"'


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        *(
            pytest.param({"LITELLM_BASE_URL": url}, [f"LITELLM_BASE_URL: {PROXY_BASE}"], id=url)
            for url in ("localhost:4000", "ftp://h", "http://", "http://h:x", "http://h:99999", "http://[::1", " ")
        ),
        pytest.param(
            {"LITELLM_BASE_URL": "http://user:s3cret@h"},
            ["LITELLM_BASE_URL: must not hold a password; use LITELLM_API_KEY"],
            id="a password",
        ),
        *(
            pytest.param(
                {"LITELLM_BASE_URL": f"http://h/{end}"},
                ["LITELLM_BASE_URL: must have no query and no fragment"],
                id=f"the end {end}",
            )
            for end in ("?key=s3cret", "v1#x", "v1?")
        ),
        *(
            pytest.param(
                {"LITELLM_BASE_URL": PROXY_URL, "LITELLM_API_KEY": key},
                ["LITELLM_API_KEY: must be visible ASCII characters"],
                id=f"the key {key!r}",
            )
            for key in ("s3cret\n", "s3cret x", "\u00e4")
        ),
    ],
)
def test_a_bad_proxy_is_told(environment: dict[str, str], expected: list[str]) -> None:
    """The variable is named, and nothing of a key or a password is shown."""
    found = problems(environment=environment)

    assert found == expected
    assert "s3cret" not in "\n".join(found)


def test_an_entry_may_be_reached_through_the_proxy() -> None:
    """A `litellm_proxy/` entry without an address takes that of the proxy, and its key if it has none of its own."""
    text = """
    [models.plain]
    litellm_model = "litellm_proxy/m"
    [models.own-key]
    litellm_model = "litellm_proxy/m"
    api_key_env = "OWN_KEY"
    [models.elsewhere]
    litellm_model = "litellm_proxy/m"
    api_base = "http://127.0.0.1:9/v1"
    [models.direct]
    litellm_model = "openai/m"
    """
    environment = {"LITELLM_BASE_URL": PROXY_URL, "LITELLM_API_KEY": "sk-1", "OWN_KEY": "sk-2"}

    models = read(text, environment=environment).models

    assert {name: (entry.api_base, entry.api_key.reveal()) for name, entry in models.items()} == {
        "plain": (f"{PROXY_URL}/v1", "sk-1"),
        "own-key": (f"{PROXY_URL}/v1", "sk-2"),
        "elsewhere": (API_BASE, ""),
        "direct": ("", ""),
    }


def test_a_caller_may_have_a_key_of_its_own() -> None:
    """It is read from the environment, and in no repr."""
    text = f'[callers.a]\ntoken_hash = "{HASH}"\nupstream_key_env = "KEY"'

    config = read(text, environment={"LITELLM_BASE_URL": PROXY_URL, "KEY": "sk-virtual"})

    key = config.callers["a"].upstream_key
    assert key is not None
    assert key.reveal() == "sk-virtual"
    assert "sk-virtual" not in repr(config)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "is not set"), ("", "is not set"), ("sk-virtual\n", "must be visible ASCII characters")],
)
def test_a_callers_key_must_be_there(value: str | None, expected: str) -> None:
    """A variable that is missing, empty or no key is told by its name."""
    text = f'[callers.a]\ntoken_hash = "{HASH}"\nupstream_key_env = "KEY"'
    environment = {"LITELLM_BASE_URL": PROXY_URL} | ({} if value is None else {"KEY": value})

    assert problems(text, environment=environment) == [
        f"callers.a.upstream_key_env: the environment variable KEY {expected}"
    ]


CALLERS: Final = f'[callers.a]\ntoken_hash = "{HASH}"\n'
TLS: Final = 'tls_certificate = "c"\ntls_key = "k"\n'


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        pytest.param("", "callers and TLS", id="neither"),
        pytest.param(CALLERS, "TLS", id="callers without TLS"),
        pytest.param(TLS, "callers", id="TLS without callers"),
    ],
)
@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.0.1", "example.com", "127.example.com"])
def test_an_open_address_needs_a_word(host: str, text: str, missing: str) -> None:
    """Beyond loopback without tokens or TLS it is refused, unless `allow_insecure` says that this is meant."""
    text = f'listen = "{host}:50051"\n{text}'

    assert problems(text) == [f"listen: {host} is not loopback, so {missing} must be configured; see allow_insecure"]
    assert read(text, flags={"allow_insecure": True}).settings.listen == f"{host}:50051"


def test_an_open_address_with_tokens_and_tls() -> None:
    """With both it needs no further word."""
    assert read(f'listen = "0.0.0.0:50051"\n{TLS}{CALLERS}').settings.listen == "0.0.0.0:50051"


def test_no_secret_is_printed() -> None:
    """A key from the environment is in no repr, of the entry or of all."""
    config = read(A_MODEL + 'api_key_env = "KEY"', environment={"KEY": "sk-very-secret"})

    assert config.models["m"].api_key.reveal() == "sk-very-secret"
    assert "sk-very-secret" not in repr(config)
    assert "sk-very-secret" not in str(config.models["m"])


def test_no_secret_is_in_a_problem() -> None:
    """What is wrong is told without the value that could be a key or a password."""
    text = A_MODEL.replace("http://127.0.0.1:9", "http://user:s3cret@h") + 'api_key = "s3cret"'

    found = problems(text + '\n[callers.c]\ntoken_hash = "s3cret"')

    assert len(found) == 3
    assert "s3cret" not in "\n".join(found)


API_BASE: Final = "http://127.0.0.1:9/v1"
WIRING = [
    pytest.param(config_for(model_entry(API_BASE, "m")), [], id="sound"),
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
        id="default is nobody",
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
        config_for(model_entry(API_BASE, MODEL_NAME), embedded=EmbeddedUse.ON),
        [f"models.{MODEL_NAME}: the embedded model has this name"],
        id="the embedded model's name",
    ),
    pytest.param(
        config_for(
            model_entry(API_BASE, "m"),
            callers={"a": CallerEntry(name="a", token_hash=HASH, allowed_models=frozenset({"m", "x", "n"}))},
        ),
        ["callers.a.allowed_models: 'n' is not a model", "callers.a.allowed_models: 'x' is not a model"],
        id="a caller of unknown models",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m", fallback_models=("n",))),
        ["models.m.fallback_models: 'n' is not another model"],
        id="nobody to fall back on",
    ),
    pytest.param(
        config_for(model_entry(API_BASE, "m", fallback_models=(MODEL_NAME,)), embedded=EmbeddedUse.ON),
        [],
        id="the embedded model to fall back on",
    ),
    pytest.param(
        config_for(
            model_entry(API_BASE, "m", fallback_models=("z",)),
            proxy=ProxyEntry(base_url=PROXY_URL),
            default_model="y",
            callers={"a": CallerEntry(name="a", token_hash=HASH, allowed_models=frozenset({"x"}))},
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
            callers={"a": CallerEntry(name="a", token_hash=HASH, allowed_models=frozenset({"n"}))},
        ),
        [
            "models.m.api_base: is missing; hosted_vllm has no address of its own",
            "default_model: 'n' is not a model of this configuration",
            "callers.a.allowed_models: 'n' is not a model",
        ],
        id="all at once",
    ),
]


@pytest.mark.parametrize(("config", "expected"), WIRING)
def test_what_only_the_wiring_can_know(config: Config, expected: list[str]) -> None:
    """What this build cannot serve is told before anything starts, and stops the server from being made."""
    assert find_config_problems(config) == expected
    if expected:
        with pytest.raises(ConfigError) as failed:
            Server(config)
        assert failed.value.problems == expected
