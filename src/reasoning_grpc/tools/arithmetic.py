"""Arithmetic on bounded numbers: fractions while a value is exact, floats after that.

No operation takes long or much memory: it raises OverflowError when its result would be longer than `MAX_BITS`, in most
cases before it computes the result. An operation without a value raises ValueError or ZeroDivisionError.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any, Final

Number = Fraction | float

MAX_BITS: Final = 10_000
"""The most bits of a numerator or denominator, about 3000 decimal digits."""
_MAX_FACTORIAL: Final = 1000
_MAX_ARGUMENTS: Final = 1000


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def check_length(value: Fraction) -> Fraction:
    """Returns the value. Raises OverflowError if it is longer than `MAX_BITS`."""
    if _bits(value) > MAX_BITS:
        raise OverflowError
    return value


def _check(value: Number) -> Number:
    """Returns the value. Raises OverflowError if it is too large, and ValueError if it is not a number."""
    if isinstance(value, Fraction):
        return check_length(value)
    if math.isnan(value):
        raise ValueError
    if math.isinf(value):
        raise OverflowError
    return value


def match_exactness(operands: Iterable[Number], value: Number) -> Number:
    """Checks and returns the value; as a float if an operand is one, so that it does not look exact."""
    return _check(float(value) if any(isinstance(operand, float) for operand in operands) else value)


def power(base: Number, exponent: Number) -> Number:
    """Returns the base to the power of the exponent."""
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        return _whole_power(base, exponent.numerator)
    if base < 0 and not (isinstance(exponent, float) and exponent.is_integer()):
        raise ValueError  # a complex number
    if isinstance(base, Fraction) and exponent == Fraction(1, 2):
        return _root(base)
    return _check(float(base) ** float(exponent))


def _whole_power(base: Fraction, exponent: int) -> Fraction:
    if base in (0, 1, -1):
        if base == 0 and exponent < 0:
            raise ZeroDivisionError
        return Fraction(exponent == 0 or (base if exponent % 2 else abs(base)))
    if (_bits(base) - 1) * abs(exponent) > MAX_BITS:  # the least that the result can have
        raise OverflowError
    return check_length(base**exponent)


def _root(value: Number) -> Number:
    if isinstance(value, float) or value < 0:
        return math.sqrt(value)
    top, bottom = math.isqrt(value.numerator), math.isqrt(value.denominator)
    if top * top == value.numerator and bottom * bottom == value.denominator:
        return Fraction(top, bottom)
    return math.sqrt(value)


def _integer(value: Number, most: int) -> int:
    """Returns the value as an integer from 0 to `most`. Raises ValueError and OverflowError."""
    if value < 0 or value != int(value):
        raise ValueError
    if value > most:
        raise OverflowError
    return int(value)


def _whole(value: Number) -> int:
    if value != int(value):
        raise ValueError
    return int(value)


def factorial(value: Number) -> Fraction:
    """Returns the product of the integers from 1 to the value."""
    return check_length(Fraction(math.factorial(_integer(value, _MAX_FACTORIAL))))


def _combinations(compute: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    return lambda n, k: Fraction(compute(_integer(n, _MAX_FACTORIAL), _integer(k, _MAX_FACTORIAL)))


def _rounded_to(value: Number, digits: Number = Fraction(0)) -> Number:
    """Rounds half to even, as Python's `round` does."""
    places = _whole(digits)
    if abs(places) > MAX_BITS:
        raise OverflowError
    return Fraction(round(value, places)) if isinstance(value, Fraction) else round(value, places)


def _log(value: Number, base: Number | None = None) -> Number:
    if base is None:
        return _log_of(math.log, value)
    bottom = _log_of(math.log, base)
    return _log_of(math.log, value) / bottom


def _log_of(log: Callable[[float], float], value: Number) -> float:
    """Returns the logarithm, also of numbers that are too large for a float."""
    if isinstance(value, Fraction) and value > 0 and not 1e-300 < value < 1e300:
        return log(value.numerator) - log(value.denominator)  # math's take whole numbers of any size
    return log(float(value))


def _of_whole(compute: Callable[..., int]) -> Callable[..., Number]:
    return lambda *values: Fraction(compute(*map(_whole, values)))


def _least_common_multiple(*values: Number) -> Number:
    """Returns the least common multiple, computed in steps that are each bounded."""
    return reduce(lambda one, other: check_length(Fraction(math.lcm(_whole(one), _whole(other)))), values, Fraction(1))


def _to_whole(compute: Callable[[Any], int]) -> Callable[[Number], Number]:
    return lambda value: Fraction(compute(value))


def _total(*values: Number) -> Number:
    total: Number = Fraction(0)
    for value in values:
        total = _check(total + value)
    return total


def _float(compute: Callable[..., float]) -> Callable[..., Number]:
    return lambda *values: compute(*map(float, values))


OPERATIONS: Final[dict[str, Callable[[Any, Any], Number]]] = {
    "+": lambda one, other: _check(one + other),
    "-": lambda one, other: _check(one - other),
    "*": lambda one, other: _check(one * other),
    "/": lambda one, other: _check(one / other),
    "//": lambda one, other: match_exactness((one, other), Fraction(math.floor(_check(one / other)))),
    "%": lambda one, other: _check(one % other),
}
CONSTANTS: Final[dict[str, Number]] = {"pi": math.pi, "e": math.e, "tau": math.tau}


@dataclass(frozen=True, slots=True)
class Function:
    """A function, and the number of its arguments."""

    compute: Callable[..., Number]
    fewest: int = 1
    most: int = 1


FUNCTIONS: Final[dict[str, Function]] = {
    "abs": Function(abs),
    "round": Function(_rounded_to, 1, 2),
    "floor": Function(_to_whole(math.floor)),
    "ceil": Function(_to_whole(math.ceil)),
    "trunc": Function(_to_whole(math.trunc)),
    "sqrt": Function(_root),
    "cbrt": Function(_float(math.cbrt)),
    "exp": Function(_float(math.exp)),
    "ln": Function(_log),
    "log": Function(_log, 1, 2),
    "log2": Function(lambda value: _log_of(math.log2, value)),
    "log10": Function(lambda value: _log_of(math.log10, value)),
    **{
        name: Function(_float(getattr(math, name)))
        for name in ("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "degrees", "radians")
    },
    "atan2": Function(_float(math.atan2), 2, 2),
    "hypot": Function(_float(math.hypot), 1, _MAX_ARGUMENTS),
    "min": Function(lambda *values: min(values), 1, _MAX_ARGUMENTS),
    "max": Function(lambda *values: max(values), 1, _MAX_ARGUMENTS),
    "sum": Function(_total, 1, _MAX_ARGUMENTS),
    "mean": Function(lambda *values: _total(*values) / len(values), 1, _MAX_ARGUMENTS),
    "gcd": Function(_of_whole(math.gcd), 1, _MAX_ARGUMENTS),
    "lcm": Function(_least_common_multiple, 1, _MAX_ARGUMENTS),
    "factorial": Function(factorial),
    "comb": Function(_combinations(math.comb), 2, 2),
    "perm": Function(_combinations(math.perm), 2, 2),
}
