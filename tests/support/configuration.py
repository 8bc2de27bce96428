"""Configurations that are read from a file, as the server reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from reasoning_grpc.config import Config, ConfigError, hash_token, read_config

TOKEN_HASH: Final = hash_token("rgt_alice")
MODEL_TABLE: Final = '[models.m]\nlitellm_model = "openai/m"\napi_base = "http://127.0.0.1:9/v1"\n'
"""A valid entry of a model, to which a test may add keys."""
CALLER_TABLE: Final = f'[callers.a]\ntoken_hash = "{TOKEN_HASH}"\n'
"""A valid entry of a caller, to which a test may add keys."""


def read_toml(
    text: str = "", *, flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Config:
    """Writes this text to `reasoning.toml` in the working directory, and reads the configuration."""
    Path("reasoning.toml").write_text(text, "utf-8")
    return read_config(flags=flags or {}, environment=environment or {})


def expect_problems(text: str = "", **sources: Any) -> list[str]:
    """Reads a configuration that must be refused, and returns its problems; takes the arguments of `read_toml`."""
    with pytest.raises(ConfigError) as failed:
        read_toml(text, **sources)
    assert str(failed.value) == "\n".join(failed.value.problems)
    return failed.value.problems
