"""Differences of Bedrock's Converse protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "bedrock",
        "messages[].name",
        "missing",
        documented="Bedrock does not carry the `name`",
    ),
)
"""The rows of the table."""
