"""The count of what happened in the latest turns of the event loop."""

import asyncio

from reasoning_grpc.rpc.recent_count import RecentCount


async def test_each_one_counts_for_four_turns() -> None:
    """What is counted in a later turn is forgotten later."""
    count = RecentCount()
    totals = []
    count.add()
    count.add()
    for turn in range(8):
        totals.append(count.total)
        await asyncio.sleep(0)
        if turn == 1:
            count.add()

    assert totals[:2] == [2, 2]
    assert max(totals) == 3
    assert totals[-1] == 0
    assert totals == sorted(totals[: totals.index(3) + 1]) + sorted(totals[totals.index(3) + 1 :], reverse=True)


async def test_an_empty_count_keeps_no_turn_busy() -> None:
    """When all is forgotten, nothing is left in the event loop; and then it counts anew."""
    count = RecentCount()
    count.add()
    for _ in range(6):
        await asyncio.sleep(0)

    assert count.total == 0
    assert not getattr(asyncio.get_running_loop(), "_ready")  # noqa: B009 - mypy knows no such attribute
    count.add()
    assert count.total == 1
