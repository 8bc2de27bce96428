"""Converts the value of an option to its type, and checks its range."""

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args

from reasoning_grpc.config.problems import suggest
from reasoning_grpc.config.settings import Option

_LOG_LEVELS: Final = ("debug", "info", "warning", "error")
_BOOLEANS: Final[Mapping[str, bool]] = dict.fromkeys(("true", "1", "yes", "on"), True) | dict.fromkeys(
    ("false", "0", "no", "off"), False
)


def convert_value(option: Option, raw: Any) -> Any:
    """Returns the value in the option's type. Raises ValueError, which says what the value must be."""
    kind = _get_type(option)
    if kind is bool:
        value: Any = _convert_boolean(raw)
    elif (kind is int or kind is float) and str(raw).lower() in option.words:
        value = option.words[str(raw).lower()]
    elif kind is int or kind is float:
        value = _convert_number(raw, kind, option.words)
        _check_range(option, value)
    elif issubclass(kind, StrEnum):
        value = _convert_choice(raw, kind)
    elif not isinstance(raw, str | Path):
        raise ValueError("must be a string")
    else:
        value = kind(raw) if str(raw) or kind is str else None
    if option.name == "log_level" and value not in _LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(_LOG_LEVELS)}{suggest(str(value), _LOG_LEVELS)}")
    return value


def _get_type(option: Option) -> Any:
    """Returns the type of the option's values, which `X | None` has beside None."""
    if isinstance(option.type, UnionType):
        return next(kind for kind in get_args(option.type) if kind is not type(None))
    return option.type


def _convert_boolean(raw: Any) -> bool:
    value = raw if isinstance(raw, bool) else _BOOLEANS.get(str(raw).lower())
    if value is None:
        raise ValueError("must be true or false")
    return value


def _convert_choice(raw: Any, kind: type[StrEnum]) -> StrEnum:
    choices = {str(member.value).lower(): member for member in kind}
    value = choices.get(str(raw).lower())
    if value is None:
        raise ValueError(f"must be one of {', '.join(choices)}{suggest(str(raw).lower(), choices)}")
    return value


def _convert_number(raw: Any, kind: type[int] | type[float], words: Iterable[str]) -> int | float:
    word = " or ".join(["whole number" if kind is int else "number", *words])
    allowed = int if kind is int else int | float | Decimal
    if isinstance(raw, bool) or not isinstance(raw, str | allowed):
        raise ValueError(f"must be a {word}")
    try:
        return kind(raw)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a {word}") from None


def _check_range(option: Option, value: float) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    lowest, highest = option.minimum, option.maximum
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        bounds = [f"at least {lowest:.15g}"] if lowest is not None else []
        bounds += [f"at most {highest:.15g}"] if highest is not None else []
        raise ValueError(f"must be {' and '.join(bounds)}")
