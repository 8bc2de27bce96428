"""How a model's answer ends, and what can be wrong with it."""

from enum import StrEnum


class FinishReason(StrEnum):
    """Why an answer ended, in our words."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    OTHER = "OTHER"
    """A word of the provider's that we do not know."""


class AnswerFlaw(StrEnum):
    """What keeps an answer from being used that had to have a form."""

    EMPTY = "EMPTY"
    NOT_JSON = "NOT_JSON"
    """JSON in a fence, or among other words, is none either."""
    WRONG_SHAPE = "WRONG_SHAPE"
    """JSON of another schema, or a call of a tool."""
    TRUNCATED = "TRUNCATED"
    """A limit of its length, the model's or ours, cut it short."""
    REFUSED = "REFUSED"
    """The model declined."""
    FILTERED = "FILTERED"
    """The provider's filter ended it."""
