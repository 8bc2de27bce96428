"""Writes the table of what was recorded of each model family in docs/models.md; a test fails when it is out of date.

Each cell comes from the recordings in tests/support/families, and has the ids of the tests that play them. With
`--tests`, the ids are printed instead, one line a cell.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from scripts.models_table import PAGE, TESTS
from tests.support.model_families import ModelFamily, read_families

_BLOCK: Final = re.compile(r"(<!-- recorded:[^\n]*-->\n).*?(<!-- end of recorded -->)", re.DOTALL)
_NONE: Final = "none"
_TURNS: Final = ("test_first_turn", "test_second_turn", "test_third_turn", "test_later_turns")
"""The tests of the requests, by turn; the last one is for every further turn."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What was recorded of one family in one respect."""

    says: str
    tests: tuple[str, ...]
    """The names of the tests; empty where nothing was recorded."""


def build_table() -> str:
    """Returns the table with one line a family."""
    rows = [
        _join([family.facts["table"]["title"], *(cell.says for cell in list_cells(family))])
        for family in read_families().values()
    ]
    return "\n".join(["", _join(["family", *_COLUMNS]), "|---" * (len(_COLUMNS) + 1) + "|", *rows, "", ""])


def replace_table(page: str) -> str:
    """Returns the page with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + build_table() + found[2], page)


def list_cells(family: ModelFamily) -> list[Cell]:
    """Returns the cells of a family's row."""
    return [describe(family) for describe in _COLUMNS.values()]


def list_tests(family: ModelFamily) -> Iterator[tuple[str, str]]:
    """Yields the name of a column and the id of a test for each test of a family's row."""
    for column, cell in zip(_COLUMNS, list_cells(family), strict=True):
        yield from ((column, f"{TESTS}::{test}[{family.name}]") for test in cell.tests)


def main(arguments: list[str]) -> int:
    """Writes the table into the page, or prints the tests."""
    if arguments == ["--tests"]:
        for family in read_families().values():
            for column, test in list_tests(family):
                print(f"{family.name}: {column}: {test}")
        return 0
    PAGE.write_text(replace_table(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _describe_reasoning(family: ModelFamily) -> Cell:
    parts = _list_parts(family)
    counts = any(answer["usage"].get("reasoningTokens") for answer in _list_answers(family))
    kinds = {
        "words": any(part.get("reasoning", {}).get("text") for part in parts),
        "encrypted": any(part.get("reasoning", {}).get("redacted") for part in parts),
        "count": counts,
    }
    says = ", ".join(kind for kind, is_there in kinds.items() if is_there) or _NONE
    return Cell(says, ("test_answers", "test_summary") if "summary" in family.facts else ("test_answers",))


def _describe_signatures(family: ModelFamily) -> Cell:
    signed = [part for part in _list_parts(family) if part.get("signature")]
    places = {"reasoning": "reasoning", "text": "texts", "toolCall": "calls"}
    found = [place for member, place in places.items() if any(member in part for part in signed)]
    return Cell("of " + " and ".join(found) if found else _NONE, ("test_answers",))


def _describe_calls(family: ModelFamily) -> Cell:
    at_once = max(sum("toolCall" in part for part in answer["message"]["content"]) for answer in _list_answers(family))
    return Cell(f"{at_once} at once" if at_once > 1 else "one", ("test_answers", "test_second_turn"))


def _describe_schema(family: ModelFamily) -> Cell:
    return Cell("yes", ("test_structured_answer",)) if "structured" in family.recordings else Cell(_NONE, ())


def _describe_refusal(family: ModelFamily) -> Cell:
    if "refusal" not in family.recordings:
        return Cell(_NONE, ())
    answer = family.read_answer("refusal")
    is_part = any("refusal" in part for part in answer["message"]["content"])
    word = answer["finishReason"].removeprefix("FINISH_REASON_")
    return Cell("a part of its own" if is_part else f"`{word}`", ("test_refusal",))


def _describe_cut(_family: ModelFamily) -> Cell:
    return Cell("no answer", ("test_cut_answer",))


def _describe_error(family: ModelFamily) -> Cell:
    return Cell(f"`{family.facts['failing']['reason']}`", ("test_error_within_an_answer",))


def _describe_turns(family: ModelFamily) -> Cell:
    tests = dict.fromkeys(_TURNS[min(number, len(_TURNS) - 1)] for number in range(len(family.turns)))
    return Cell(f"{len(family.turns)}", tuple(tests))


_COLUMNS: Final[dict[str, Callable[[ModelFamily], Cell]]] = {
    "reasoning": _describe_reasoning,
    "signatures": _describe_signatures,
    "tool calls": _describe_calls,
    "JSON by a schema": _describe_schema,
    "refusal": _describe_refusal,
    "cut answer": _describe_cut,
    "error in mid-stream": _describe_error,
    "requests compared": _describe_turns,
}


def _list_answers(family: ModelFamily) -> list[dict[str, Any]]:
    return [family.read_answer(turn) for turn in family.turns]


def _list_parts(family: ModelFamily) -> list[dict[str, Any]]:
    return [part for answer in _list_answers(family) for part in answer["message"]["content"]]


def _join(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
