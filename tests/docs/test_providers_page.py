"""The page about providers names the promised prefixes, and the way of each, as the code has them."""

import re
from typing import Final

import pytest

from reasoning_grpc.cli.config_report import WAYS
from reasoning_grpc.litellm_model import PROMISED, Way, choose_way
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from scripts.efforts_table import replace_tables
from scripts.pages import find_section, read_pages
from scripts.promised_table import TESTS, name_tests, replace_table
from tests.support.collected_tests import collect_tests
from tests.support.promised_answers import read_answers

PAGE: Final = read_pages()["docs/providers.md"]
PREFIX: Final = re.compile(r"`([\w-]+)/`")


def read_rows(title: str) -> list[list[str]]:
    """Returns the cells of the table below this title, without its head."""
    section = find_section(PAGE, title)
    assert section is not None
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_table_of_promised_prefixes_is_current() -> None:
    """The table of promised prefixes is the one that scripts/promised_table.py writes from the recordings."""
    assert replace_table(PAGE) == PAGE


def test_the_tables_of_amounts_are_current() -> None:
    """The tables about the amount of reasoning are those that scripts/efforts_table.py writes from the code."""
    assert replace_tables(PAGE) == PAGE


@pytest.mark.process
def test_each_promise_of_the_table_is_tested() -> None:
    """The table rests on tests that pytest collects, and each recorded answer of these tests is in the table."""
    named = {test for prefix in PROMISED for test in name_tests(read_answers(prefix))}

    assert named == {test for test in collect_tests(TESTS) if "[" in test and "test_the_address_of_a_note" not in test}


def test_the_three_ways_name_prefixes_that_go_them() -> None:
    """Each prefix that the table of ways names goes that way; it is promised, or said to be untested."""
    rows = read_rows("Three ways to a provider")

    assert [row[0] for row in rows] == [WAYS[way] for way in (Way.OWN_WIRE, Way.PLAIN, Way.FOREIGN)]
    for way, row in zip((Way.OWN_WIRE, Way.PLAIN, Way.FOREIGN), rows, strict=True):
        prefixes = PREFIX.findall(row[1])
        assert {choose_way(prefix) for prefix in prefixes} == {way}
        assert [prefix in PROMISED for prefix in prefixes] == ["untested" not in row[1]] * len(prefixes)


def test_the_promised_protocols_are_those_of_the_providers() -> None:
    """A promised prefix speaks the OpenAI protocol exactly if its requests are left in it."""
    assert {prefix for prefix, protocol in PROMISED.items() if protocol == "OpenAI"} == SPEAKS_OPENAI & PROMISED.keys()
