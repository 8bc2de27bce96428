"""Differences of Anthropic's protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "anthropic",
        "messages[].name",
        "missing",
        is_reported=True,
    ),
    row(
        "anthropic",
        "sampling.max_output_tokens",
        "added",
        documented="Anthropic's models get the largest `max_tokens` that they take when a request has none",
    ),
)
"""The rows of the table."""
