"""The list of the forty faults names tests that exist, and leaves no cell empty."""

from typing import Final

import pytest

from tests.faults.cases import CASES, UPSTREAM_CASES, Cell
from tests.support.collected_tests import collect_tests
from tests.support.upstream_faults import FAULTS

WIRES: Final = ("anthropic", "bedrock", "gemini", "responses")
"""The wires beside OpenAI's chat protocol, as the tests name them in a variant or in the name of their file."""


def name_tests(cell: Cell) -> tuple[str, ...]:
    """Returns the tests that a cell names."""
    return cell if isinstance(cell, tuple) else ()


def find_variants(named: str, collected: set[str]) -> set[str]:
    """Returns the collected tests that a name in the list stands for."""
    function, has_variant, text = named.partition("[")
    variants = {test for test in collected if test.partition("[")[0] == function}
    return {test for test in variants if text in test.partition("[")[2]} if has_variant else variants


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """Returns all tests that pytest collects in the files that the list names."""
    named = [test for case in CASES for cell in case.cells.values() for test in name_tests(cell)]
    return collect_tests(*sorted({test.partition("::")[0] for test in named}))


def test_the_cases_are_the_forty() -> None:
    """The list has every case once, and in order."""
    assert [case.number for case in CASES] == list(range(1, 41))


def test_each_case_is_shown_or_explained() -> None:
    """Each cell has a test, or a sentence that says why there is none, and each case has a test."""
    for case in CASES:
        for name, cell in case.cells.items():
            assert cell, (case.number, name)
            assert isinstance(cell, tuple) or cell.endswith("."), (case.number, name)
        assert any(name_tests(cell) for cell in case.cells.values()), case.number


@pytest.mark.process
def test_each_named_test_exists(collected: set[str]) -> None:
    """Pytest collects each test that the list names."""
    missing = [
        (case.number, test)
        for case in CASES
        for cell in case.cells.values()
        for test in name_tests(cell)
        if not find_variants(test, collected)
    ]

    assert missing == []


@pytest.mark.process
def test_each_fault_is_shown_on_each_wire(collected: set[str]) -> None:
    """The cell for wires has tests of every protocol that the server speaks, unless it says why it has none."""
    missing = []
    for case in CASES:
        if tests := name_tests(case.wires):
            tried = [variant for test in tests for variant in find_variants(test, collected)]
            missing += [(case.number, wire) for wire in WIRES if not any(wire in test for test in tried)]

    assert missing == []


def test_each_fault_of_the_table_belongs_to_a_case() -> None:
    """The faults that agent and classifier meet have names that begin with the number of an upstream's case."""
    assert {name.partition("-")[0] for name in FAULTS} <= {str(case.number) for case in UPSTREAM_CASES}
