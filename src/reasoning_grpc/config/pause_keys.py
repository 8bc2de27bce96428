"""Reads the keys that seal the states of paused runs, from an environment variable or a file."""

import base64
import binascii
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from reasoning_grpc.config.problems import describe_unset_variable
from reasoning_grpc.config.table_reader import VARIABLE_NAME
from reasoning_grpc.domain import Secret

_KEY_BYTES: Final = 32
_ENV: Final = "pause_keys_env"
_FILE: Final = "pause_keys_file"
_FORM: Final = "must hold keys of 32 bytes in base64, such as `openssl rand -base64 32` prints"


def read_pause_keys(
    variable: str, file: Path | None, environment: Mapping[str, str], report: Callable[[str, str], None]
) -> tuple[Secret, ...]:
    """Returns the keys, the one that seals first; none where the configuration names none.

    They are separated by commas or white space. `report` receives a key of the configuration and what is wrong with
    its value.
    """
    if variable and file is not None:
        report(f"{_ENV} and {_FILE}", "give one of them")
        return ()
    if file is not None:
        return _read_keys(_FILE, _read_file(file, report), report)
    if not variable:
        return ()
    if not VARIABLE_NAME.fullmatch(variable):
        report(_ENV, "must be the name of an environment variable, and not the keys")
        return ()
    text = environment.get(variable, "")
    if not text:
        report(_ENV, describe_unset_variable(variable))
    return _read_keys(_ENV, text or None, report)


def decode_pause_key(key: Secret) -> bytes:
    """Returns the bytes of a key that `read_pause_keys` has read."""
    return _decode(key.reveal()) or b""


def _read_file(file: Path, report: Callable[[str, str], None]) -> str | None:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError):
        report(_FILE, f"{str(file)!r} is not a readable file of UTF-8 text")
        return None


def _read_keys(option: str, text: str | None, report: Callable[[str, str], None]) -> tuple[Secret, ...]:
    if text is None:
        return ()
    keys = text.replace(",", " ").split()
    if not keys or not all(map(_decode, keys)):
        report(option, _FORM)
        return ()
    if len(set(keys)) < len(keys):
        report(option, "must not hold a key twice")
    return tuple(map(Secret, keys))


def _decode(key: str) -> bytes | None:
    """Returns the bytes of a key, which may be written in either alphabet of base64; None for anything else."""
    try:
        decoded = base64.b64decode(key.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if len(decoded) == _KEY_BYTES else None
