"""The page about providers names the promised prefixes, and the way of each, as the code has them."""

import re
from typing import Final

from reasoning_grpc.cli.config_report import WIRES
from reasoning_grpc.litellm_model import PROMISED, WITHOUT_ADDRESS, Way, choose_way
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from scripts.pages import find_section, read_pages

PAGE: Final = read_pages()["docs/providers.md"]
PREFIX: Final = re.compile(r"`([\w-]+)/`")


def read_rows(title: str) -> list[list[str]]:
    """Returns the cells of the table below this title, without its head."""
    section = find_section(PAGE, title)
    assert section is not None
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_the_table_has_each_promised_prefix() -> None:
    """The table has each promised prefix once, in order, with its way and its protocol."""
    rows = read_rows("The promised prefixes")

    assert [row[:3] for row in rows] == [
        [f"`{prefix}/`", WIRES[choose_way(prefix)], protocol] for prefix, protocol in sorted(PROMISED.items())
    ]
    assert f"The server promises {len(PROMISED)} of litellm's prefixes." in PAGE


def test_the_table_says_which_prefixes_need_an_address() -> None:
    """A prefix without an address of its own says so."""
    rows = read_rows("The promised prefixes")

    assert {
        row[0].strip("`/") for row in rows if row[3].startswith("It needs `api_base`")
    } == WITHOUT_ADDRESS & PROMISED.keys()


def test_the_three_ways_name_prefixes_that_go_them() -> None:
    """Each prefix that the table of ways names goes that way; it is promised, or said to be untested."""
    rows = read_rows("Three ways to a provider")

    assert [row[0] for row in rows] == [WIRES[way] for way in (Way.OWN_WIRE, Way.PLAIN, Way.FOREIGN)]
    for way, row in zip((Way.OWN_WIRE, Way.PLAIN, Way.FOREIGN), rows, strict=True):
        prefixes = PREFIX.findall(row[1])
        assert {choose_way(prefix) for prefix in prefixes} == {way}
        assert [prefix in PROMISED for prefix in prefixes] == ["untested" not in row[1]] * len(prefixes)


def test_the_promised_protocols_are_those_of_the_providers() -> None:
    """A promised prefix speaks the OpenAI protocol exactly if its requests are left in it."""
    assert {prefix for prefix, protocol in PROMISED.items() if protocol == "OpenAI"} == SPEAKS_OPENAI & PROMISED.keys()
