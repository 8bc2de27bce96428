"""The tables `[callers.NAME]` become caller entries."""

from typing import Final

import pytest

from reasoning_grpc.config import (
    CallerEntry,
    hash_token,
)
from tests.support.configuration import TOKEN_HASH, expect_problems, read_toml

PROXY_URL: Final = "http://127.0.0.1:4000"


def test_allowed_models_are_read() -> None:
    """Without `allowed_models` a caller may use every model; an empty list allows none."""
    other = hash_token("rgt_bob")
    text = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n[callers.b]\ntoken_hash = "{other}"\nallowed_models = []\n'

    callers = read_toml(text).callers

    assert callers == {
        "a": CallerEntry(name="a", token_hash=TOKEN_HASH, allowed_models=None),
        "b": CallerEntry(name="b", token_hash=other, allowed_models=frozenset()),
    }


def test_a_caller_may_have_a_key_of_its_own() -> None:
    """A caller's upstream key is read from the environment, and no repr contains it."""
    text = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\nupstream_key_env = "KEY"'

    config = read_toml(text, environment={"LITELLM_BASE_URL": PROXY_URL, "KEY": "sk-virtual"})

    key = config.callers["a"].upstream_key
    assert key is not None
    assert key.reveal() == "sk-virtual"
    assert "sk-virtual" not in repr(config)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "is not set"), ("", "is not set"), ("sk-virtual\n", "must be visible ASCII characters")],
)
def test_a_callers_key_must_be_usable(value: str | None, expected: str) -> None:
    """A variable that is missing, empty or not a key is reported by its name."""
    text = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\nupstream_key_env = "KEY"'
    environment = {"LITELLM_BASE_URL": PROXY_URL} | ({} if value is None else {"KEY": value})

    assert expect_problems(text, environment=environment) == [
        f"callers.a.upstream_key_env: the environment variable KEY {expected}"
    ]
