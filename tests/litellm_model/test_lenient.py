"""The lenient readers: each value of the wrong type counts as absent."""

import math
from collections.abc import Callable
from typing import Any, Final

import pytest

from reasoning_grpc.litellm_model import lenient

OBJECT: Final = {"a": 1}
HUGE: Final = 10**400

CASES: Final[dict[Callable[[object], object], list[tuple[object, object]]]] = {
    lenient.read_text: [("a", "a"), ("", ""), (None, ""), (1, ""), (b"a", ""), (["a"], "")],
    lenient.read_object: [(OBJECT, OBJECT), (None, {}), ([OBJECT], {}), ("{}", {})],
    lenient.read_list: [([1, "a"], [1, "a"]), (None, []), (OBJECT, []), ("ab", []), ((1,), [])],
    lenient.read_objects: [([OBJECT, None, "a", {}], [OBJECT, {}]), (OBJECT, []), (None, [])],
    lenient.read_first_object: [([OBJECT, {"b": 2}], OBJECT), ([], {}), ([None, OBJECT], {}), (OBJECT, {}), (None, {})],
    lenient.read_integer: [(3, 3), (-3, -3), (HUGE, HUGE), (True, None), (3.0, None), ("3", None), (None, None)],
    lenient.read_token_count: [
        (0, 0),
        (12, 12),
        (12.0, 12),
        (2**31 - 1, 2**31 - 1),
        (2**31, None),
        (-1, None),
        (1.5, None),
        (math.nan, None),
        (math.inf, None),
        (HUGE, None),
        (True, None),
        ("12", None),
        (None, None),
    ],
    lenient.read_float: [(1, 1.0), (-0.5, -0.5), (HUGE, 0.0), (True, 0.0), ("1", 0.0), (None, 0.0)],
    lenient.read_bytes: [([104, 105], b"hi"), ([], b""), ([256], b""), ([-1], b""), ([104, "i"], b""), ("hi", b"")],
}


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        pytest.param(read, value, expected, id=f"{read.__name__}-{index}")
        for read, rows in CASES.items()
        for index, (value, expected) in enumerate(rows)
    ],
)
def test_values_of_the_wrong_type_count_as_absent(
    read: Callable[[object], object], value: object, expected: object
) -> None:
    """Each reader returns a value of its own type as it is, and the empty value of that type for any other."""
    result = read(value)

    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("value", [OBJECT, [1, 2]])
def test_containers_are_returned_themselves(value: Any) -> None:
    """An object or a list is returned itself, not as a copy, so that observers can rewrite what litellm reads."""
    read: Callable[[object], object] = lenient.read_object if isinstance(value, dict) else lenient.read_list

    assert read(value) is value


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((1, 2), 3), ((1, None), 1), ((None, 0), 0), ((None, None), None), ((1, None, 3), 4), ((), None)],
)
def test_known_numbers_are_added(numbers: tuple[int | None, ...], expected: int | None) -> None:
    """An unknown number counts as 0, unless all of them are unknown."""
    assert lenient.add_known(*numbers) == expected
