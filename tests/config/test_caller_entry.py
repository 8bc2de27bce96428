"""The tables `[callers.NAME]` become caller entries."""

import pytest

from reasoning_grpc.config import (
    CallerEntry,
    hash_token,
)
from tests.support.configuration import CALLER_TABLE, MODEL_TABLE, TOKEN_HASH, expect_problems, read_toml


def test_allowed_models_are_read() -> None:
    """Without `allowed_models` a caller may use every model; an empty list allows none."""
    other = hash_token("rgt_bob")
    text = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n[callers.b]\ntoken_hash = "{other}"\nallowed_models = []\n'

    callers = read_toml(text).callers

    assert callers == {
        "a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=None),
        "b": CallerEntry(name="b", token_hash=other, allowed_models=frozenset()),
    }


def test_a_caller_may_have_keys_of_its_own() -> None:
    """A caller's upstream keys are read from the environment, and no repr contains them."""
    text = f'{CALLER_TABLE}upstream_keys = {{ m = "KEY", "openai/*" = "OTHER" }}\n{MODEL_TABLE}'

    config = read_toml(text, environment={"KEY": "sk-virtual", "OTHER": "sk-other"})

    keys = config.callers["a"].upstream_keys
    assert {name: key.reveal() for name, key in keys.items()} == {"m": "sk-virtual", "openai/*": "sk-other"}
    assert "sk-" not in repr(config)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "is not set"), ("", "is not set"), ("sk-virtual\n", "must be visible ASCII characters")],
)
def test_a_callers_key_must_be_usable(value: str | None, expected: str) -> None:
    """A variable that is missing, empty or not a key is reported by its name."""
    text = f'{CALLER_TABLE}upstream_keys = {{ m = "KEY" }}\n{MODEL_TABLE}'

    assert expect_problems(text, environment={} if value is None else {"KEY": value}) == [
        f"callers.a.upstream_keys.m: the environment variable KEY {expected}"
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"KEY"', "callers.a.upstream_keys: must be a table"),
        ('{ m = "" }', "callers.a.upstream_keys.m: must be a string that is not empty"),
        ("{ m = 1 }", "callers.a.upstream_keys.m: must be a string that is not empty"),
        (
            '{ m = "sk-virtual" }',
            "callers.a.upstream_keys.m: must be the name of an environment variable, "
            'such as "OPENAI_API_KEY", and not the secret',
        ),
    ],
)
def test_upstream_keys_name_variables(value: str, expected: str) -> None:
    """A table of keys that is not one of models and variables is refused, and no value of it is printed."""
    assert expect_problems(f"{CALLER_TABLE}upstream_keys = {value}\n{MODEL_TABLE}") == [expected]
