"""`calculator`: a tool that computes an expression with a parser of its own; nothing is evaluated as Python.

Numbers are fractions, so 0.1 + 0.2 is 0.3. A value that is not exact, such as sqrt(2), becomes a float, and the answer
says that it is rounded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context
from fractions import Fraction
from typing import Annotated, Final, TypedDict

from pydantic import Field

from reasoning_grpc.tools.arithmetic import (
    CONSTANTS,
    FUNCTIONS,
    OPERATIONS,
    Number,
    check_length,
    factorial,
    match_exactness,
    power,
)
from reasoning_grpc.tools.errors import ToolError

_MAX_EXPRESSION_CHARACTERS: Final = 2000
_MAX_DEPTH: Final = 60
_MAX_DIGITS: Final = 3000
"""The most digits of a number in the expression, and the largest exponent."""
_MAX_DECIMAL_PLACES: Final = 50
"""A fraction with more decimal places than this is rounded in the answer."""
_ROUNDED_DIGITS: Final = 30
"""The number of significant digits of a rounded fraction."""
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator>\*\*|//|[-+*/%^(),!]))"
)
_OTHER_SIGNS: Final = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-"})  # noqa: RUF001


class Calculation(TypedDict):
    """The answer of `calculator`."""

    result: str
    exact: bool
    """Whether the result is exact, not rounded."""


def calculator(
    expression: Annotated[str, Field(description='For example "2 * (3 + 4) ** 2 / 7" or "sqrt(2) * sin(pi / 4)".')],
) -> Calculation:
    """Calculate the value of an arithmetic expression.

    It knows + - * / // % ** (or ^), !, parentheses, the constants pi, e and tau, and the functions abs,
    round(x, digits), floor, ceil, trunc, sqrt, cbrt, exp, ln, log(x, base), log2, log10, sin, cos, tan, asin, acos,
    atan, atan2, sinh, cosh, tanh, degrees, radians, min, max, sum, mean, gcd, lcm, factorial, comb, perm, hypot.
    Angles are radians. Numbers have a decimal point and no thousands separators. Integers and decimals are
    calculated exactly.
    """
    return format_value(evaluate(expression))


def format_value(value: Number) -> Calculation:
    """Returns the answer for a value."""
    if isinstance(value, float):
        return Calculation(result=f"{value:.15g}", exact=False)
    if value.denominator == 1:
        return Calculation(result=str(value.numerator), exact=True)
    places = _decimal_places(value.denominator)
    if places is None:
        return Calculation(result=_round(value), exact=False)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return Calculation(result=f"{sign}{digits[:-places]}.{digits[-places:]}", exact=True)


def evaluate(expression: str) -> Number:
    """Returns the value of an expression. Raises ToolError, which says what is wrong with it."""
    if len(expression) > _MAX_EXPRESSION_CHARACTERS:
        raise ToolError(f"The expression is longer than {_MAX_EXPRESSION_CHARACTERS} characters.")
    try:
        return _Parser(expression.translate(_OTHER_SIGNS)).parse()
    except ZeroDivisionError:
        raise ToolError("It divides by zero.") from None
    except OverflowError:
        raise ToolError("A number gets too large.") from None
    except ValueError:  # raised by `math`
        raise ToolError("A function has no value there, such as the square root of -1.") from None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """One of "number", "name", "operator" and "end"."""
    text: str
    place: int


def _tokens(expression: str) -> Iterator[_Token]:
    place = 0
    while place < len(expression.rstrip()):
        found = _TOKEN.match(expression, place)
        if found is None or found.lastgroup is None:
            raise ToolError(f"At character {place + 1} is nothing that belongs in an expression.")
        yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
        place = found.end()
    yield _Token("end", "", place)


class _Parser:
    """Parses an expression by recursive descent and computes it on the way, with the precedence of Python."""

    def __init__(self, expression: str) -> None:
        self._tokens = _tokens(expression)
        self._token = next(self._tokens)
        self._depth = 0

    def parse(self) -> Number:
        """Returns the value of the whole expression."""
        value = self._sum()
        if self._token.kind != "end":
            raise self._unexpected()
        return value

    def _sum(self) -> Number:
        value = self._product()
        while operator := self._take("+", "-"):
            value = OPERATIONS[operator](value, self._product())
        return value

    def _product(self) -> Number:
        value = self._signed()
        while operator := self._take("*", "//", "/", "%"):
            value = OPERATIONS[operator](value, self._signed())
        return value

    def _signed(self) -> Number:
        with_minus = False
        while sign := self._take("-", "+"):
            with_minus ^= sign == "-"
        value = self.power()
        return -value if with_minus else value

    def power(self) -> Number:
        value = self._postfix()
        if not self._take("**", "^"):
            return value
        self._enter()
        exponent = self._signed()  # binds to the right, and lets its exponent have a sign
        self._depth -= 1
        return power(value, exponent)

    def _postfix(self) -> Number:
        value = self._atom()
        while self._take("!"):
            value = factorial(value)
        return value

    def _atom(self) -> Number:
        token = self._token
        if token.kind == "number":
            self._advance()
            return _number(token.text)
        if token.kind == "name":
            self._advance()
            return self._named(token)
        if self._take("("):
            self._enter()
            value = self._sum()
            self._expect(")")
            self._depth -= 1
            return value
        raise self._unexpected()

    def _named(self, token: _Token) -> Number:
        name = token.text.lower()
        if not self._take("("):
            if name in CONSTANTS:
                return CONSTANTS[name]
            raise ToolError(f"{token.text[:40]!r} is no constant that is known.")
        function = FUNCTIONS.get(name)
        if function is None:
            raise ToolError(f"{token.text[:40]!r} is not a known function.")
        arguments = self._arguments()
        if not function.fewest <= len(arguments) <= function.most:
            raise ToolError(f"{name} does not take {len(arguments)} arguments.")
        return match_exactness(arguments, function.compute(*arguments))

    def _arguments(self) -> list[Number]:
        """Parses the arguments of a function, up to the closing parenthesis."""
        self._enter()
        arguments: list[Number] = []
        while not self._take(")"):
            if arguments:
                self._expect(",")
            arguments.append(self._sum())
        self._depth -= 1
        return arguments

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ToolError(f"It is nested more than {_MAX_DEPTH} deep.")

    def _take(self, *operators: str) -> str:
        """Returns the current operator and advances, if it is one of these; returns an empty string if not."""
        token = self._token
        if token.kind != "operator" or token.text not in operators:
            return ""
        self._advance()
        return token.text

    def _expect(self, operator: str) -> None:
        if not self._take(operator):
            raise self._unexpected()

    def _advance(self) -> None:
        self._token = next(self._tokens)

    def _unexpected(self) -> ToolError:
        if self._token.kind == "end":
            return ToolError("The expression ends too early.")
        return ToolError(f"At character {self._token.place + 1} something else belongs than {self._token.text[:40]!r}.")


def _number(text: str) -> Fraction:
    mantissa, _, exponent = text.replace("_", "").lower().partition("e")
    if len(mantissa) > _MAX_DIGITS or len(exponent) > len(str(_MAX_DIGITS)) + 1:
        raise OverflowError
    if exponent and abs(int(exponent)) > _MAX_DIGITS:
        raise OverflowError
    return check_length(Fraction(f"{mantissa}e{exponent or 0}"))


def _decimal_places(denominator: int) -> int | None:
    """Returns the decimal places of a fraction with this denominator; None when they have no end, or are too many."""
    for places in range(1, _MAX_DECIMAL_PLACES + 1):
        if 10**places % denominator == 0:
            return places
    return None


def _round(value: Fraction) -> str:
    """Writes the fraction with `_ROUNDED_DIGITS` significant digits."""
    context = Context(prec=_ROUNDED_DIGITS, Emin=-99_999, Emax=99_999)
    return f"{context.divide(context.create_decimal(value.numerator), value.denominator)}"
