"""Writes the table of promised prefixes in docs/providers.md; a test fails when it is out of date.

What a row says about answers comes from the recordings in tests/support/promised, which the tests send through a
running server. So the table says nothing about an answer that has no recording. A test compares what the rows rest on
with the tests that pytest collects.
"""

import re
import sys
from collections.abc import Iterator
from typing import Final

from reasoning_grpc.cli.config_report import WAYS
from reasoning_grpc.litellm_model import PROMISED, WITHOUT_ADDRESS, choose_way
from scripts.pages import ROOT
from tests.support.promised_answers import COMPLETE_KINDS, PrefixAnswers, read_answers

PAGE: Final = ROOT / "docs" / "providers.md"
TESTS: Final = "tests/litellm_model/test_promised_prefixes.py"
"""The tests that send the recordings."""
_BLOCK: Final = re.compile(r"(<!-- promised:[^\n]*-->\n).*?(<!-- end of promised -->)", re.DOTALL)
_INTRODUCTION: Final = """\
The server promises {count} of litellm's prefixes. For each of them, the tests send recorded answers through a running
server, and receive them with both RPCs. The answer of text is also cut after each of its events. The columns say what
else was recorded: which reasoning callers get, two tool calls in one answer, an error in the middle of a stream, and
the HTTP statuses of refused requests.
"""
_COLUMNS: Final = ("prefix", "way", "protocol", "reasoning", "tool calls", "error in mid-stream", "error statuses")
_NOTES: Final = "what to know"
_NONE: Final = "none"


def build_table() -> str:
    """Returns the sentences about the promised prefixes, and the table with one line a prefix."""
    rows = [_build_row(read_answers(prefix)) for prefix in sorted(PROMISED)]
    head = ["| " + " | ".join([*_COLUMNS, _NOTES]) + " |", "|---" * (len(_COLUMNS) + 1) + "|"]
    return "\n".join([_INTRODUCTION.format(count=len(PROMISED)), *head, *rows, ""])


def replace_table(page: str) -> str:
    """Returns the page with the table as it must be."""
    return _BLOCK.sub(lambda found: found[1] + build_table() + found[2], page)


def name_tests(answers: PrefixAnswers) -> set[str]:
    """Returns the ids of the tests that a row of the table rests on."""
    prefix = answers.prefix
    return {
        f"{TESTS}::test_a_recorded_answer_that_is_cut_is_not_complete[{prefix}]",
        *(
            f"{TESTS}::test_a_recorded_answer_is_received_whole[{prefix}-{kind}]"
            for kind in answers.kinds
            if kind in COMPLETE_KINDS
        ),
        *(
            f"{TESTS}::test_an_error_in_a_recorded_answer_is_reported[{prefix}]"
            for kind in answers.kinds
            if kind == "failing"
        ),
        *(
            f"{TESTS}::test_the_body_of_a_refusal_is_understood[{prefix}-{row['status']}-{number}]"
            for number, row in enumerate(answers.expected["refused"])
        ),
    }


def main() -> int:
    """Writes the table into the page."""
    PAGE.write_text(replace_table(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _build_row(answers: PrefixAnswers) -> str:
    prefix = answers.prefix
    statuses = sorted({row["status"] for row in answers.expected["refused"]})
    cells = [
        f"`{prefix}/`",
        WAYS[choose_way(prefix)],
        PROMISED[prefix],
        _describe_reasoning(answers),
        _describe_calls(answers),
        "yes" if "failing" in answers.kinds else _NONE,
        ", ".join(map(str, statuses)),
        " ".join(_list_notes(answers)),
    ]
    return "| " + " | ".join(cells).rstrip() + " |"


def _describe_reasoning(answers: PrefixAnswers) -> str:
    found = []
    if "reasoning" in answers.kinds:
        expected, sent = answers.expected["reasoning"], b"".join(answers.read("reasoning").events)
        if "reasoning" not in expected:
            found.append("the count of its tokens")
        elif "signatures" in expected:
            found.append("text and signatures")
        else:
            found.append("text without its signatures" if b'"signature"' in sent else "text")
    if "tagged" in answers.kinds:
        found.append("text by [`think_tags`](configuration.md#reasoning-inside-the-text)")
    return " or ".join(found) or _NONE


def _describe_calls(answers: PrefixAnswers) -> str:
    if "calls" not in answers.kinds:
        return _NONE
    calls = answers.expected["calls"]["calls"]
    signed = ", signed" if any(len(call) > 3 for call in calls) else ""
    made = "" if all(call_id for call_id, *_ in calls) else ", with new ids"
    return f"yes{signed}{made}"


def _list_notes(answers: PrefixAnswers) -> Iterator[str]:
    if answers.prefix in WITHOUT_ADDRESS:
        yield "It needs `api_base`."
    yield from answers.notes
    yield from answers.expected.get("absent", {}).values()


if __name__ == "__main__":
    sys.exit(main())
