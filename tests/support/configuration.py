"""Configurations that are read from a file, as the server reads them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from reasoning_grpc.config import Config, ConfigError, read_config


def read(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> Config:
    """The configuration of a file with this text."""
    file = folder / "reasoning.toml"
    file.write_text(text)
    return read_config(flags={}, environment=environment or {}, file=file)


def problems_of(folder: Path, text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with this file."""
    with pytest.raises(ConfigError) as failed:
        read(folder, text, environment)
    return failed.value.problems
