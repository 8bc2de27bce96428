"""Differences of providers that speak the OpenAI protocol."""

from typing import Final

from tests.support.differential.documented.row import row

ROWS: Final = (
    row(
        "openrouter",
        "extras.usage",
        "added",
        documented="OpenRouter is asked for the usage of each answer",
        holds=lambda difference, _: difference.left == {"include": True},
    ),
)
"""The rows of the table."""
