"""Differences of Bedrock's Converse protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "bedrock",
        "messages[].name",
        "missing",
        is_reported=True,
    ),
)
"""The rows of the table."""
