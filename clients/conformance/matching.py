"""Whether a message is as it was expected: what is told must be so, what is not told may be anything."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

ANY: Final = "<any>"
"""Stands for anything that is there and not empty."""
ABSENT: Final = "<absent>"
"""Stands for a field that is unset, or empty."""
BEGINS: Final = "<begins> "
"""Begins the expectation of a text by its beginning."""


def as_json(message: Message) -> dict[str, Any]:
    """The message by its proto field names, numbers that are zero and texts that are empty included."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def differences(expected: Any, actual: Any, where: str) -> Iterator[str]:
    """One line for each thing that is not as expected."""
    if expected == ABSENT:
        if actual not in (None, "", [], {}, 0, False):
            yield f"{where}: expected nothing, is {_short(actual)}"
    elif expected == ANY:
        if actual in (None, "", [], {}):
            yield f"{where}: expected something, is {_short(actual)}"
    elif isinstance(expected, Mapping):
        yield from _in_mapping(expected, actual, where)
    elif isinstance(expected, list | tuple):
        yield from _in_sequence(expected, actual, where)
    elif not _equal(expected, actual):
        yield f"{where}: expected {_short(expected)}, is {_short(actual)}"


def _in_mapping(expected: Mapping[str, Any], actual: Any, where: str) -> Iterator[str]:
    if not isinstance(actual, Mapping):
        yield f"{where}: expected {_short(expected)}, is {_short(actual)}"
        return
    for key, value in expected.items():
        yield from differences(value, actual.get(key), f"{where}.{key}")


def _in_sequence(expected: Sequence[Any], actual: Any, where: str) -> Iterator[str]:
    if not isinstance(actual, Sequence) or isinstance(actual, str) or len(actual) != len(expected):
        yield f"{where}: expected {len(expected)} entries, is {_short(actual)}"
        return
    for index, (each, found) in enumerate(zip(expected, actual, strict=True)):
        yield from differences(each, found, f"{where}[{index}]")


def _equal(expected: Any, actual: Any) -> bool:
    if isinstance(expected, str) and expected.startswith(BEGINS):
        return isinstance(actual, str) and actual.startswith(expected.removeprefix(BEGINS))
    if isinstance(expected, bool) or isinstance(actual, bool) or actual is None:
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, str):
        return str(expected) == actual  # 64-bit numbers are texts in ProtoJSON
    return bool(expected == actual)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}..."
