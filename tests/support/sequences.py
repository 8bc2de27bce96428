"""The numbers of a stream's events."""

from collections.abc import Sequence
from itertools import accumulate


def expected_sequences(kinds: Sequence[str | None]) -> list[int]:
    """Returns the `sequence` that each event of a stream must have: 0, 1, 2, ...; a heartbeat repeats the last one."""
    return [count - 1 for count in accumulate(int(kind != "heartbeat") for kind in kinds)]
