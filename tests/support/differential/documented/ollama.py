"""Differences of Ollama's protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "ollama_chat",
        "messages[].name",
        "missing",
        is_reported=True,
    ),
)
"""The rows of the table."""
