"""Compares a message with what is expected of it. Only what the expectation names is compared."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

ANY: Final = "<any>"
"""As an expectation: the value is present and not empty."""
ABSENT: Final = "<absent>"
"""As an expectation: the field is unset or empty."""
BEGINS: Final = "<begins> "
"""At the start of an expectation: the value is a text that begins with the rest of the expectation."""


def convert_to_json(message: Message) -> dict[str, Any]:
    """Converts a message to a dict by proto field names. Zeros and empty texts are included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def find_differences(expected: Any, actual: Any, where: str) -> Iterator[str]:
    """Yields one line for each difference; `where` is the path of the value, for these lines."""
    if expected == ABSENT:
        if actual not in (None, "", [], {}, 0, False):
            yield f"{where}: expected nothing, is {_shorten(actual)}"
    elif expected == ANY:
        if actual in (None, "", [], {}):
            yield f"{where}: expected something, is {_shorten(actual)}"
    elif isinstance(expected, Mapping):
        yield from _compare_mappings(expected, actual, where)
    elif isinstance(expected, list | tuple):
        yield from _compare_sequences(expected, actual, where)
    elif not _are_equal(expected, actual):
        yield f"{where}: expected {_shorten(expected)}, is {_shorten(actual)}"


def _compare_mappings(expected: Mapping[str, Any], actual: Any, where: str) -> Iterator[str]:
    if not isinstance(actual, Mapping):
        yield f"{where}: expected {_shorten(expected)}, is {_shorten(actual)}"
        return
    for key, value in expected.items():
        yield from find_differences(value, actual.get(key), f"{where}.{key}")


def _compare_sequences(expected: Sequence[Any], actual: Any, where: str) -> Iterator[str]:
    if not isinstance(actual, Sequence) or isinstance(actual, str) or len(actual) != len(expected):
        yield f"{where}: expected {len(expected)} entries, is {_shorten(actual)}"
        return
    for index, (wanted, found) in enumerate(zip(expected, actual, strict=True)):
        yield from find_differences(wanted, found, f"{where}[{index}]")


def _are_equal(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and expected.startswith(BEGINS):
        return isinstance(actual, str) and actual.startswith(expected.removeprefix(BEGINS))
    if isinstance(expected, bool) or isinstance(actual, bool) or actual is None:
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, str):
        return str(expected) == actual  # ProtoJSON writes 64-bit numbers as texts
    return bool(expected == actual)


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
