"""Differences of Gemini's protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "gemini",
        "messages[].name",
        "missing",
        documented="Gemini carries neither the `name` of a message nor `end_user`",
    ),
    row("gemini", "end_user", "missing", documented="Gemini carries neither the `name` of a message nor `end_user`"),
)
"""The rows of the table."""
