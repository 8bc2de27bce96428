"""Differences that are neither documented nor refused yet: a file for each prefix, a line for each problem.

A line whose problem no longer occurs fails the test until it is deleted.
"""

from pathlib import Path


def read_known_gaps(prefix: str) -> frozenset[str]:
    """Returns the known problems of a prefix."""
    path = Path(__file__).parent / f"{prefix}.txt"
    return frozenset(path.read_text().splitlines() if path.exists() else ())
