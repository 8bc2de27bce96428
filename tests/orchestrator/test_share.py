"""The division of an amount among tasks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reasoning_grpc.orchestrator.share import divide


@pytest.mark.parametrize(
    ("left", "used", "waiting", "expected"),
    [
        pytest.param(8, [0, 0], 2, ([2, 2], 2), id="equal"),
        pytest.param(7, [0, 0], 1, ([3, 2], 2), id="remainder to the first"),
        pytest.param(8, [5, 0], 1, ([5, 2], 1), id="one has used more"),
        pytest.param(8, [8, 0], 0, ([8, 0], 0), id="one has used all"),
        pytest.param(3, [0, 0], 2, ([1, 1], 1), id="less than one each"),
        pytest.param(6, [], 3, ([], 2), id="nothing in progress"),
        pytest.param(6, [1], 0, ([6], 6), id="the last gets all"),
        pytest.param(-2, [0], 1, ([0], 0), id="overspent"),
        pytest.param(5, [], 0, ([], 0), id="no task"),
    ],
)
def test_all_get_the_same(left: int, used: list[int], waiting: int, expected: tuple[list[int], int]) -> None:
    """Every task gets the same, except that one which has used more keeps what it has used."""
    assert divide(left, used, waiting) == expected


@given(st.integers(0, 1000), st.lists(st.integers(0, 300), max_size=5), st.integers(0, 5))
def test_no_more_is_granted_than_there_is(left: int, used: list[int], waiting: int) -> None:
    """The shares never exceed what is left, nobody gets less than it has used, and none that got the same differ."""
    granted, share = divide(left, used, waiting)

    assert all(mine >= spent for mine, spent in zip(granted, used, strict=True))
    if sum(used) <= left:
        assert sum(granted) + waiting * (share - 1) <= left
        equal = [mine for mine, spent in zip(granted, used, strict=True) if mine != spent] + [share] * bool(waiting)
        assert not equal or max(equal) - min(equal) <= 1
