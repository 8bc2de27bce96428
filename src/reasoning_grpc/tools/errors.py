"""The errors of tools."""

_MAX_CHARACTERS = 2000


class ToolError(Exception):
    """A tool could not do what was requested. The model reads the text, and callers get it if they ask for results.

    The text of every other exception that a tool raises may contain anything, so it stays in the log.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text[:_MAX_CHARACTERS])


class ArgumentsProblem(Exception):
    """The arguments do not fit the tool's schema. The message tells the model where, in a few words."""


class ToolUnavailable(Exception):
    """The tool cannot be reached now."""


class InputRequired(Exception):
    """A tool needs input that it cannot get here, such as an answer of the user. The text says what it asks for.

    The model reads the text, and callers get it if they ask for results.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text[:_MAX_CHARACTERS])


class ResultProblem(Exception):
    """The structured content does not fit the tool's output schema. The message tells the model where."""


class NoResult(Exception):
    """The tool could not be called, or its result cannot be read. The message is one of our own sentences."""
