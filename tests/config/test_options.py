"""Every option is read from flag, variable and file, converted to its type, and refused with a clear sentence."""

from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import (
    Config,
    LogFormat,
    Settings,
    options,
    read_config,
)
from reasoning_grpc.config.settings import AUTO_WORKERS, EmbeddedUse
from reasoning_grpc.domain import RoutingMode
from tests.support.configuration import expect_problems, read_toml


def test_without_any_source_the_defaults_hold() -> None:
    """Without flag, variable and file the server listens on loopback and runs the embedded model."""
    config = read_config(flags={}, environment={"PATH": "/bin", "HOME": "/root"})

    assert config == Config(settings=Settings(), models={}, callers={}, classifier=config.classifier)
    assert config.settings.listen == "127.0.0.1:50051"
    assert config.runs_embedded


SOURCES = [
    pytest.param("default_model", "a", "b", '"c"', ("a", "b", "c", ""), id="text"),
    pytest.param("reflection", False, "true", "false", (False, True, False, True), id="bool"),
    pytest.param("max_retries", "1", "3", "4", (1, 3, 4, 2), id="whole number"),
    pytest.param("grace_seconds", "1.5", "2", "2.5", (1.5, 2.0, 2.5, 20.0), id="number"),
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
    """An option comes from the flag, else the environment, else the file, else its default."""
    environment = {f"REASONING_{name.upper()}": variable}
    text = f"{name} = {in_file}"

    values = [
        getattr(config.settings, name)
        for config in (
            read_toml(text, flags={name: flag}, environment=environment),
            read_toml(text, flags={name: None}, environment=environment),
            read_toml(text),
            read_toml(),
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
    pytest.param("workers", "auto", AUTO_WORKERS, id="one worker a core"),
    pytest.param("workers", "AUTO", AUTO_WORKERS, id="a word for a number in any case"),
    pytest.param("workers", "256", 256, id="many workers"),
    pytest.param("admin_listen", "9464", "9464", id="a port alone"),
    pytest.param("health_listen", "[::]:9465", "[::]:9465", id="an admin port of all interfaces"),
    pytest.param("listen", "[::1]:0", "[::1]:0", id="an address of IPv6"),
    pytest.param("listen", "localhost:50051", "localhost:50051", id="localhost"),
    pytest.param("listen", "127.0.0.9:1", "127.0.0.9:1", id="another address of loopback"),
]


@pytest.mark.parametrize(("name", "raw", "expected"), ACCEPTED)
def test_a_value_as_text_is_converted(name: str, raw: str, expected: Any) -> None:
    """The text of a flag or a variable is converted to the type of its option."""
    by_variable = read_toml(environment={f"REASONING_{name.upper()}": raw})
    by_flag = read_toml(flags={name: raw})

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
def test_a_value_in_the_file_is_converted(text: str, name: str, expected: Any) -> None:
    """A value of TOML's own types is converted to the type of its option."""
    value = getattr(read_toml(text).settings, name)

    assert value == expected
    assert type(value) is type(expected)


TRUTH: Final = "must be true or false"
WHOLE: Final = "must be a whole number"
NUMBER: Final = "must be a number"
TEXT: Final = "must be a string"
LEVELS: Final = "must be one of debug, info, warning, error"
TASKS: Final = "must be at least 1 and at most 100"
USES: Final = "must be one of offered, requested, off"
ABOVE_ZERO: Final = "must be at least 0.001"
BAD_VALUES: Final[dict[str, list[tuple[str, str]]]] = {
    "listen": [("1", TEXT), ("true", TEXT), ("[]", TEXT)],
    "workers": [
        ("0", "must be at least 1 and at most 256"),
        ("257", "must be at least 1 and at most 256"),
        ('"many"', "must be a whole number or auto"),
        ("1.5", "must be a whole number or auto"),
    ],
    "admin_listen": [("9464", TEXT), ("true", TEXT)],
    "health_listen": [("9465", TEXT), ("[]", TEXT)],
    "allow_insecure": [('"maybe"', TRUTH), ("2", TRUTH), ("[]", TRUTH)],
    "tls_certificate": [("1", TEXT)],
    "tls_key": [("1", TEXT)],
    "tls_client_ca": [("false", TEXT)],
    "pid_file": [("1", TEXT)],
    "reflection": [('""', TRUTH), ("1.0", TRUTH)],
    "log_level": [('"loud"', LEVELS), ('"INFO"', LEVELS), ("1", TEXT)],
    "log_format": [('"xml"', "must be one of auto, json, text"), ("1", "must be one of auto, json, text")],
    "default_model": [("1", TEXT), ("{}", TEXT)],
    "default_mode": [('"fast"', "must be one of passthrough, reasoning, orchestration, auto")],
    "embedded": [("true", "must be one of auto, on, off"), ('""', "must be one of auto, on, off")],
    "embedded_weights": [("1", TEXT)],
    "embedded_name": [("1", TEXT)],
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
    "max_retry_share": [
        ("-0.1", "must be at least 0 and at most 1"),
        ("1.1", "must be at least 0 and at most 1"),
    ],
    "breaker_min_calls": [("0", "must be at least 1")],
    "breaker_open_seconds": [("0.0", ABOVE_ZERO)],
    "breaker_max_open_seconds": [("0", ABOVE_ZERO)],
    "max_cooldown_seconds": [("-1", "must be at least 0")],
    "max_calls_per_upstream": [("0", "must be at least 1")],
    "upstream_queue_seconds": [("-0.1", "must be at least 0")],
    "max_upstream_connections": [("0", "must be at least 1"), ("inf", WHOLE)],
    "upstream_proxy": [("1", TEXT)],
    "upstream_proxy_credentials_env": [("true", TEXT)],
    "upstream_proxy_exclude": [('["example.com"]', TEXT)],
    "discovery_ttl_seconds": [("0.9", "must be at least 1")],
    "discovery_timeout_seconds": [("0", ABOVE_ZERO)],
    "max_calls_in_flight": [("0", "must be at least 1"), ("1.5", WHOLE)],
    "max_loop_lag_seconds": [("0", ABOVE_ZERO)],
    "max_reading_pause_seconds": [
        ("-0.1", "must be at least 0 and at most 10"),
        ("11", "must be at least 0 and at most 10"),
    ],
    "max_queued_calls": [("-1", "must be at least 0")],
    "admission_queue_seconds": [
        ("-0.1", "must be at least 0 and at most 10"),
        ("11", "must be at least 0 and at most 10"),
    ],
    "request_timeout_seconds": [("0.0", ABOVE_ZERO)],
    "write_timeout_seconds": [("0.0", ABOVE_ZERO)],
    "keepalive_seconds": [("0.9", "must be at least 1")],
    "keepalive_timeout_seconds": [("0", ABOVE_ZERO)],
    "max_request_bytes": [
        ("1023", "must be at least 1024 and at most 1073741824"),
        ("1073741825", "must be at least 1024 and at most 1073741824"),
    ],
    "max_request_fields": [("999", "must be at least 1000")],
    "max_metadata_bytes": [
        ("1023", "must be at least 1024 and at most 1048576"),
        ("1048577", "must be at least 1024 and at most 1048576"),
    ],
    "max_parts": [("0", "must be at least 1")],
    "max_media_bytes": [("-1", "must be at least 0")],
    "max_json_bytes": [("1023", "must be at least 1024")],
    "max_json_depth": [("0", "must be at least 1 and at most 100"), ("101", "must be at least 1 and at most 100")],
    "max_stop_sequences": [
        ("-1", "must be at least 0 and at most 1000"),
        ("1001", "must be at least 0 and at most 1000"),
    ],
    "max_labels": [("-1", "must be at least 0 and at most 1000"), ("1001", "must be at least 0 and at most 1000")],
    "pass_upstream_messages": [('""', TRUTH), ("2", TRUTH)],
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
    "agent_tool_list_timeout_seconds": [("-1", "must be at least 0")],
    "agent_plan_prompt": [("1", TEXT)],
    "agent_native_prompt": [("true", TEXT)],
    "agent_answer_prompt": [("[]", TEXT)],
    "pause_keys_env": [("1", TEXT)],
    "pause_keys_file": [("[]", TEXT)],
    "max_pause_seconds": [("0.9", "must be at least 1 and at most 2592000")],
    "max_pause_state_bytes": [("16383", "must be at least 16384 and at most 16777216")],
    "orchestration": [("true", USES), ('"on"', USES)],
    "orchestration_max_tasks": [
        ("0", "must be at least 1 and at most 100"),
        ("101", "must be at least 1 and at most 100"),
    ],
    "orchestration_max_parallel_tasks": [("0", TASKS), ("1.5", WHOLE)],
    "orchestration_max_steps": [("0", "must be at least 1 and at most 10000")],
    "orchestration_max_tool_calls": [("-1", "must be at least 0 and at most 100000")],
    "orchestration_timeout_seconds": [("0", ABOVE_ZERO)],
    "orchestration_plan_prompt": [("1", TEXT)],
    "orchestration_task_prompt": [("true", TEXT)],
    "orchestration_answer_prompt": [("[]", TEXT)],
    "max_connection_age_seconds": [("-1", "must be at least 0 and at most 2000000"), ("true", NUMBER)],
    "max_connection_age_grace_seconds": [("2000001", "must be at least 0 and at most 2000000")],
    "drain_delay_seconds": [("-1", "must be at least 0"), ("true", NUMBER)],
    "grace_seconds": [("-1", "must be at least 0"), ("1979-05-27", NUMBER)],
}


def test_every_option_has_bad_values() -> None:
    """The table of bad values in this file has every option."""
    assert list(BAD_VALUES) == [option.name for option in options()]


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        pytest.param(name, raw, message, id=f"{name} {raw[:8]}")
        for name, cases in BAD_VALUES.items()
        for raw, message in cases
    ],
)
def test_a_bad_value_is_refused(name: str, raw: str, message: str) -> None:
    """The message about a bad value begins with the key, the variable or the flag that has it."""
    assert expect_problems(f"{name} = {raw}") == [f"{name}: {message}"]
    if raw.startswith('"'):
        text = raw.strip('"')
        assert expect_problems(environment={f"REASONING_{name.upper()}": text}) == [
            f"REASONING_{name.upper()}: {message}"
        ]
        assert expect_problems(flags={name: text}) == [f"--{name.replace('_', '-')}: {message}"]


def test_every_option_is_explained() -> None:
    """Every option has one sentence of help, a default within its range, and three names."""
    for option in options():
        assert option.help.endswith(".")
        assert option.help[0].isupper()
        assert option.flag == "--" + option.name.replace("_", "-")
        assert option.variable == "REASONING_" + option.name.upper()
        assert option.minimum is None or option.minimum <= option.default
        assert option.maximum is None or option.default <= option.maximum
    assert len({option.name for option in options()}) == len(BAD_VALUES)


def test_unknown_keys_and_variables_are_refused() -> None:
    """An unknown key, and an unknown variable with our prefix, is refused; other variables are ignored."""
    environment = {"REASONING_LISTENN": "x", "REASONING_MODELS": "x", "PATH": "/bin", "LISTEN": "x"}

    found = expect_problems('listne = "x"\n[server]\nlisten = "x"', environment=environment)

    assert found == [
        "listne: is not a known key; did you mean listen?",
        "server: is not a known key",
        "REASONING_LISTENN: is not a known environment variable; did you mean REASONING_LISTEN?",
        "REASONING_MODELS: is not a known environment variable",
    ]


def test_variables_of_the_client_are_known() -> None:
    """The variables that `ask` reads do not stop `serve` in the same shell."""
    assert read_toml(environment={"REASONING_TARGET": "h:1", "REASONING_TOKEN": "rgt_x"}) == read_toml()
