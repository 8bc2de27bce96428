"""Limits on the content of spans, so that one span cannot make an export too large for a collector."""

from typing import Final

MAX_TEXT_CHARACTERS: Final = 16_384
"""The longest text in an attribute of its own, such as the result of a tool."""
MAX_MESSAGES_CHARACTERS: Final = 65_536
"""The longest text of the messages in one attribute."""


def cut_text(text: str, characters: int = MAX_TEXT_CHARACTERS) -> str:
    """Returns the text, or its beginning and how many characters follow it."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}… ({len(text) - characters} more characters)"


class TextBudget:
    """Cuts several texts, so that together they have no more than a number of characters."""

    def __init__(self, characters: int = MAX_MESSAGES_CHARACTERS) -> None:
        self.remaining = characters

    def take(self, text: str) -> str:
        """Returns as much of the text as the budget allows, and takes that from it."""
        cut = cut_text(text, self.remaining)
        self.remaining -= min(self.remaining, len(text))
        return cut
