"""The table of differences that are documented, or reported to the caller as effective settings."""

from typing import Final

from tests.support.differential.documented import anthropic, bedrock, every, gemini, ollama, openai_protocol, responses
from tests.support.differential.documented.row import Documented, row, strip_positions
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference

__all__ = ["TABLE", "Documented", "find_row", "row", "strip_positions"]

TABLE: Final[tuple[Documented, ...]] = (
    *every.ROWS,
    *responses.ROWS,
    *openai_protocol.ROWS,
    *bedrock.ROWS,
    *anthropic.ROWS,
    *gemini.ROWS,
    *ollama.ROWS,
)
"""All rows; the first that fits a difference allows it."""


def find_row(target: Target, difference: Difference) -> Documented | None:
    """Returns the row of the table that allows a difference."""
    return next((each for each in TABLE if each.fits(target, difference)), None)
