"""The file of litellm's price map: found without importing litellm, which would take seconds, and read once."""

import logging
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

_FILE: Final = "model_prices_and_context_window_backup.json"

logger = logging.getLogger("reasoning_grpc.prices")


@cache
def find_map_file() -> Path | None:
    """Returns the file in litellm's package; None without litellm."""
    package = find_spec("litellm")  # finds the package without importing it
    folders = package.submodule_search_locations if package is not None else None
    return Path(folders[0]) / _FILE if folders else None


@cache
def read_map(file: Path | None) -> Mapping[str, msgspec.Raw]:
    """Returns what the file lists of each model, as JSON; nothing where it is missing or malformed."""
    try:
        data = b"" if file is None else file.read_bytes()
        return msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (OSError, ValueError, RecursionError):
        logger.warning("litellm's price map cannot be read: only prices in the configuration are known")
        return {}
