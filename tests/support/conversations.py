"""Conversations written as a line of words, one for each message."""

from typing import Final

from reasoning_grpc.domain import (
    Message,
    Part,
    Role,
    ToolCall,
    ToolResult,
)
from tests.support.factories import a_message

ROLES: Final = {"s": Role.SYSTEM, "u": Role.USER, "a": Role.ASSISTANT}


def make_message(word: str) -> Message:
    """Returns the message of a word such as "s", "u" or "a", which is its role.

    "c12" calls tools by the ids 1 and 2, and "r12" has their results.
    """
    kind, ids = word[0], word[1:]
    if kind == "c":
        return Message(Role.ASSISTANT, tuple(Part(ToolCall(each, "f", "{}")) for each in ids))
    if kind == "r":
        return Message(Role.TOOL, tuple(Part(ToolResult(each, "4")) for each in ids))
    return a_message(word, ROLES[kind])


def conversation(words: str) -> tuple[Message, ...]:
    """Returns the messages of a line such as "s u c1 r1 a"."""
    return tuple(map(make_message, words.split()))
