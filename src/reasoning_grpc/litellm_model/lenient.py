"""Readers of JSON values whose type nobody guarantees: a value of another type counts as absent.

Upstreams leave out optional fields, send null, or send another type. No reader here raises an error.
"""

import re
from typing import Any

import msgspec

Json = dict[str, Any]
"""A JSON object."""


def read_text(value: object) -> str:
    """Returns the value if it is a text, else an empty text."""
    return value if isinstance(value, str) else ""


def read_object(value: object) -> Json:
    """Returns the value itself if it is an object, else an empty object."""
    return value if isinstance(value, dict) else {}


def decode_object(text: str) -> Json:
    """Returns the object that a JSON text holds; empty for any other text, also for one that is nested too deeply."""
    try:
        return read_object(msgspec.json.decode(text))
    except (ValueError, RecursionError):
        return {}


def read_list(value: object) -> list[Any]:
    """Returns the value itself if it is a list, else an empty list."""
    return value if isinstance(value, list) else []


def read_objects(value: object) -> list[Json]:
    """Returns the objects in a list, without its other items."""
    return [item for item in read_list(value) if isinstance(item, dict)]


def read_first_object(value: object) -> Json:
    """Returns the first item of a list if it is an object, else an empty object."""
    return read_object(next(iter(read_list(value)), None))


def read_integer(value: object) -> int | None:
    """Returns the value if it is an integer, of whatever size and sign."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def read_label(value: object) -> int | None:
    """Returns the integer that a label such as an index stands for; some servers write "1" or 1.0."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return read_integer(value)


def read_failed_status(value: object) -> int:
    """Returns an HTTP status of a failure, which some servers write as "503" or 503.0; 0 for any other value."""
    status = read_label(value.strip() if isinstance(value, str) else value)
    return status if status is not None and 400 <= status < 600 else 0


def read_token_count(value: object) -> int | None:
    """Returns a number of tokens, at most so large that sums of a few stay in protobuf's range.

    Some servers write 12.0.
    """
    if type(value) is int:  # nearly every count
        return value if 0 <= value < 2**31 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value < 2**31 and value == int(value) else None


def read_float(value: object) -> float:
    """Returns the value if it is a number, else 0."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    except OverflowError:  # an integer of hundreds of digits
        return 0.0


def read_bytes(value: object) -> bytes:
    """Returns the bytes that a list of numbers from 0 to 255 stands for; empty if any item is something else."""
    numbers = read_list(value)
    return bytes(numbers) if all(isinstance(number, int) and 0 <= number < 256 for number in numbers) else b""


def add_known(*numbers: int | None) -> int | None:
    """Returns the sum of the numbers that are known; None if none of them is."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
