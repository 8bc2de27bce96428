"""`make test`: how its two parts become one result."""

import re
from collections import Counter

import pytest

from scripts.run_tests import combine_codes, count_outcomes, read_default_markers, summarize

REPORT = """<?xml version="1.0" encoding="utf-8"?><testsuites name="pytest tests">
<testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="0.1"></testsuite></testsuites>"""


@pytest.mark.parametrize(
    ("codes", "combined"),
    [
        pytest.param([0, 0], 0, id="both parts pass"),
        pytest.param([0, 1], 1, id="the second part fails"),
        pytest.param([1, 0], 1, id="the first part fails"),
        pytest.param([1, 5], 1, id="the first part fails, the second is empty"),
        pytest.param([5, 0], 0, id="the first part is empty"),
        pytest.param([5, 5], 5, id="both parts are empty"),
        pytest.param([2], 2, id="the first part is interrupted"),
    ],
)
def test_exit_codes_are_combined(codes: list[int], combined: int) -> None:
    """A failure in either part is a failure; a part without tests is one only if the other has none either."""
    assert combine_codes(codes) == combined


def test_outcomes_are_counted() -> None:
    """Passed tests are all that neither failed, nor broke, nor were skipped."""
    assert count_outcomes(REPORT) == Counter(passed=4, failed=2, errors=1, skipped=3)


def test_the_summary_leaves_out_what_did_not_happen() -> None:
    """Only outcomes that occurred are named; without any test the summary says so."""
    assert summarize(Counter(passed=4, failed=0, errors=1)) == "4 passed, 1 errors"
    assert summarize(Counter()) == "no tests"


def test_what_other_targets_run_is_left_out(pytestconfig: pytest.Config) -> None:
    """Each marker whose description names the one target that runs it is left out, and no other."""
    described = {
        marker.partition(":")[0] for marker in pytestconfig.getini("markers") if re.search("only .* runs it", marker)
    }

    left_out = read_default_markers().removeprefix("not (").removesuffix(")").split(" or ")

    assert sorted(left_out) == sorted(described)
