"""The reasons why a model's answer ends, and the flaws that it can have."""

from enum import StrEnum


class FinishReason(StrEnum):
    """The reason why an answer ended, independent of the provider's own words."""

    STOP = "STOP"
    LENGTH = "LENGTH"
    TOOL_CALLS = "TOOL_CALLS"
    CONTENT_FILTER = "CONTENT_FILTER"
    OTHER = "OTHER"
    """The provider gave a reason that we do not know."""


class AnswerFlaw(StrEnum):
    """The reason why an answer that had to follow a schema cannot be used."""

    EMPTY = "EMPTY"
    NOT_JSON = "NOT_JSON"
    """The answer is not JSON. JSON in one code fence is JSON; JSON between other words is not."""
    WRONG_SHAPE = "WRONG_SHAPE"
    """The answer is JSON that does not match the schema, or a tool call."""
    TRUNCATED = "TRUNCATED"
    """A limit of its length, the model's or ours, cut the answer short."""
    REFUSED = "REFUSED"
    """The model declined to answer."""
    FILTERED = "FILTERED"
    """The provider's content filter ended the answer."""
