"""The calculator tool: its grammar, its exact results, and the limits that keep a call short."""

import contextlib
import math
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.tools import ToolError
from reasoning_grpc.tools.calculator import calculator, evaluate

Expression = tuple[str, Fraction]
NUMBERS: Final = st.one_of(
    st.integers(0, 10**12).map(lambda number: (str(number), Fraction(number))),
    st.decimals(0, 10**6, places=3).map(lambda number: (f"{number:f}", Fraction(number))),
)


def build_operations(children: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    """Builds expressions of one or two others, with the values that Python's fractions give them."""

    def join(one: Expression, operator: str, other: Expression) -> Expression:
        value = {
            "+": lambda: one[1] + other[1],
            "-": lambda: one[1] - other[1],
            "*": lambda: one[1] * other[1],
            "/": lambda: one[1] / (other[1] or 1),
            "//": lambda: Fraction(one[1] // (other[1] or 1)),
            "%": lambda: one[1] % (other[1] or 1),
        }[operator]()
        divisor = "1" if operator in ("/", "//", "%") and not other[1] else other[0]
        return f"({one[0]}) {operator} ({divisor})", value

    return st.builds(join, children, st.sampled_from(["+", "-", "*", "/", "//", "%"]), children) | children.map(
        lambda child: (f"-({child[0]})", -child[1])
    )


@given(st.recursive(NUMBERS, build_operations, max_leaves=12))
def test_arithmetic_is_exact(expression: Expression) -> None:
    """Sums, products, quotients and remainders equal those of Python's fractions."""
    assert evaluate(expression[0]) == expression[1]


@given(st.integers(-(10**6), 10**6), st.integers(-40, 40))
def test_whole_powers_are_exact(base: int, exponent: int) -> None:
    """A power with a whole exponent is exact, also where the exponent is negative."""
    if base == 0 and exponent < 0:
        with pytest.raises(ToolError, match="divides by zero"):
            evaluate(f"({base}) ** {exponent}")
        return

    assert evaluate(f"({base}) ** {exponent}") == Fraction(base) ** exponent


@given(st.text("0123456789+-*/%^!().,e pisqrtlo", max_size=60))
def test_any_text_gives_a_result_or_an_error(text: str) -> None:
    """Any text gives either a result or a ToolError."""
    with contextlib.suppress(ToolError):
        assert calculator(text)["result"]


@given(
    st.lists(st.integers(1, 99).map(str) | st.sampled_from(["2.5", "0.1"]), min_size=2, max_size=8),
    st.lists(st.sampled_from(["+", "-", "*", "/", "//", "%"]), min_size=7, max_size=7),
)
def test_precedence_is_that_of_python(numbers: list[str], operators: list[str]) -> None:
    """Operators without parentheses bind as they do in Python."""
    pairs = list(zip(numbers, ["", *operators], strict=False))
    text = " ".join(f"{operator} {number}" for number, operator in pairs)
    python = " ".join(f"{operator} Fraction('{number}')" for number, operator in pairs).strip()
    try:
        expected = eval(python, {"Fraction": Fraction})
    except ZeroDivisionError:
        with pytest.raises(ToolError, match="divides by zero"):
            evaluate(text)
        return

    assert evaluate(text) == expected


@pytest.mark.parametrize(
    ("expression", "result", "exact"),
    [
        ("1 + 2 * 3", "7", True),
        ("-2 ** 2", "-4", True),
        ("2 ** 3 ** 2", "512", True),
        ("2 ** -1", "0.5", True),
        ("2^10", "1024", True),
        ("2 * -3", "-6", True),
        ("--3", "3", True),
        ("3! + 1", "7", True),
        ("0.1 + 0.2", "0.3", True),
        ("1_000 × 3 ÷ 2 − 1", "1499", True),  # noqa: RUF001
        ("1.5e3", "1500", True),
        (".5 + 1.", "1.5", True),
        ("1 / 3", "0.333333333333333333333333333333", False),
        ("1 / 3 * 3", "1", True),
        ("-1 / 8", "-0.125", True),
        ("1e-30", "0.000000000000000000000000000001", True),
        ("2 ** 100", str(2**100), True),
        ("30!", str(math.factorial(30)), True),
        ("sqrt(16 / 9) * 3", "4", True),
        ("4 ** 0.5", "2", True),
        ("sqrt(2)", "1.4142135623731", False),
        ("sqrt(2) * 0 + 3", "3", False),
        ("floor(2 * pi)", "6", False),
        ("cos(0)", "1", False),
        ("LOG(8, 2)", "3", False),
        ("ln(10 ** 400)", "921.034037197618", False),
        ("log10(1 / 10 ** 400)", "-400", False),
        ("round(2.675, 2)", "2.68", True),
        ("round(2.5)", "2", True),
        ("max(1, 7 / 2, 3)", "3.5", True),
        ("mean(1, 2, 4.5) + sum(1, 2)", "5.5", True),
        ("gcd(12, 18) + lcm(4, 6)", "18", True),
        ("comb(52, 5) + perm(5, 2)", "2598980", True),
        ("7 % 2.5", "2", True),
        ("-7 // 2", "-4", True),
        ("(-1) ** 999999999999", "-1", True),
    ],
)
def test_each_kind_of_expression(expression: str, result: str, exact: bool) -> None:
    """Each kind of expression gives the expected value, and says whether it is exact."""
    assert calculator(expression) == {"result": result, "exact": exact}


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("", "ends too early"),
        ("(1", "ends too early"),
        ("1)", "At character 2"),
        ("1 2", "At character 3"),
        ("2(3)", "At character 2"),
        ("1,000", "At character 2"),
        ("1 + $", "At character 4"),
        ("__import__('os')", "nothing that belongs"),
        ("open(1)", "'open' is not a known function"),
        ("x + 1", "'x' is no constant"),
        ("sin", "'sin' is no constant"),
        ("sin()", "sin does not take 0"),
        ("sin(1, 2)", "sin does not take 2"),
        ("1 / 0", "divides by zero"),
        ("5 % 0", "divides by zero"),
        ("0 ** -1", "divides by zero"),
        ("sqrt(-1)", "no value"),
        ("(-8) ** (1 / 3)", "no value"),
        ("asin(2)", "no value"),
        ("gcd(1.5, 2)", "no value"),
        ("(-3)!", "no value"),
        ("2.5!", "no value"),
    ],
)
def test_mistakes_are_explained(expression: str, words: str) -> None:
    """Each mistake in an expression is explained in a sentence for the model."""
    with pytest.raises(ToolError, match=words):
        calculator(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "9 ** 9 ** 9",
        "9 ** 9 ** 9 ** 9",
        "(2 ** 9000) ** 9000",
        "10 ** 3000 * 10 ** 3000",
        "(1 / 10 ** 3000) / 10 ** 3000",
        "1.0000001 ** 99999999999",
        "1e999999999",
        "1e-999999999",
        "1e" + "9" * 1000,
        "100000!",
        "3!!!!!!",
        "comb(10 ** 9, 10 ** 8)",
        "e ** 1000",
        "exp(1000)",
        "round(1, 10 ** 9)",
        "round(1, -(10 ** 9))",
        "lcm(" + ", ".join(f"10 ** 2900 + {number}" for number in range(90)) + ")",
        "2 **" * 58 + "2",
    ],
)
def test_large_numbers_are_refused(expression: str) -> None:
    """An expression that would take very long or much memory is refused before it is computed."""
    with pytest.raises(ToolError, match="too large"):
        calculator(expression)


def test_long_numbers_are_exact() -> None:
    """A number may be as long as an expression, and stays exact."""
    assert calculator("9" * 1990)["result"] == "9" * 1990


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1+" * 500_000 + "1", "longer than 2000 characters"),
        ("(" * 900 + "1" + ")" * 900, "nested more than 60 deep"),
        ("sin(" * 300 + "1" + ")" * 300, "nested more than 60 deep"),
        ("2**" * 500 + "1", "nested more than 60 deep"),
    ],
)
def test_large_expressions_are_refused(expression: str, words: str) -> None:
    """A very long expression, and one that is nested too deeply, are refused at once."""
    with pytest.raises(ToolError, match=words):
        calculator(expression)


def test_a_row_of_signs_is_not_nesting() -> None:
    """A long row of signs does not count as nesting."""
    assert calculator("-" * 1999 + "1")["result"] == "-1"
