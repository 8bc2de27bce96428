"""A differential test of what leaves: every field, alone and in pairs, to models of every promised prefix.

What left on the wire is read back by an oracle of its own, and compared with what was asked. Either both are the same
in meaning, or the difference is documented or reported, or the request was refused naming a field that it has.
"""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from reasoning_grpc.litellm_model import PROMISED
from tests.support.differential.capturing import CapturingUpstream
from tests.support.differential.documented import TABLE
from tests.support.differential.outcomes import Kind, Outcome, judge_all
from tests.support.differential.requests import list_cases
from tests.support.differential.targets import TARGETS, build_config
from tests.support.serving import serving

PREFIXES: Final = tuple(dict.fromkeys(target.prefix for target in TARGETS))
PAGE: Final = Path(__file__).parents[2] / "docs" / "providers.md"


@pytest.mark.thorough
@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_request_leaves_as_it_was_asked(prefix: str, record_property: Callable[[str, object], None]) -> None:
    """Each request leaves as it was asked, differs as documented, or is refused by the name of a field."""
    targets = [target for target in TARGETS if target.prefix == prefix]
    outcomes: list[Outcome] = []

    async with CapturingUpstream() as upstream, serving(build_config(targets, upstream)) as running:
        for target in targets:
            outcomes += await judge_all(running, upstream, target, list_cases(target))

    others = [
        f"{outcome.target.name}, {outcome.case.name}: {outcome.problems} {outcome.details}"
        for outcome in outcomes
        if outcome.kind is Kind.OTHER
    ]
    record_property("outcomes", str(Counter(outcome.kind for outcome in outcomes)))
    assert "\n".join(others) == ""


def test_every_promised_prefix_has_models() -> None:
    """The models of the test have every promised prefix, and no other."""
    assert set(PREFIXES) == set(PROMISED)


def test_documented_differences_are_in_the_documentation() -> None:
    """Each row of the table quotes the page about providers, or is reported by the answer itself."""
    page = re.sub(r"\s+", " ", PAGE.read_text())

    missing = [row for row in TABLE if not row.is_reported and row.documented not in page]

    assert missing == []
    assert all(row.documented or row.is_reported for row in TABLE)
