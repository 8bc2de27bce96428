"""How a tool says what went wrong."""

_LONGEST = 2000


class ToolError(Exception):
    """A tool could not do what it was asked for; its text is for the model to read, and shown to callers who ask.

    The text of every other exception that a tool raises may hold anything, and stays in the log.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text[:_LONGEST])


class ArgumentsProblem(Exception):
    """The arguments do not fit the tool's schema; the message says where, in a few words for the model."""


class ToolUnavailable(Exception):
    """The tool cannot be reached now."""


class NoResult(Exception):
    """The tool gave no result that can be told, or could not be asked; the message is a sentence of ours."""
