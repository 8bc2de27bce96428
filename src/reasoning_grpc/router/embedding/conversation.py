"""`describe_conversation`: the texts of a conversation that the embedding reads."""

from collections.abc import Sequence
from typing import Final

from reasoning_grpc.domain import Message, Role
from reasoning_grpc.router.window import cut_text, list_texts

_MAX_CHARACTERS: Final = 1000
"""The embedding reads this much of a conversation: more takes time in proportion, and says little more of a route."""
_SHARE: Final = 0.6
"""The part of the room that one message may take."""


def describe_conversation(messages: Sequence[Message], *, max_messages: int) -> tuple[str, str]:
    """Returns the end of the conversation with its roles, and the first message of a person in it.

    The last words alone ("yes", "and in France?") say nothing about a route; what began the conversation does.
    System messages describe the assistant, not the request, and are used only when there are no others.
    """
    spoken = [message for message in messages if message.role is not Role.SYSTEM] or list(messages)
    turns = [(message.role, " ".join(list_texts(message.content))) for message in spoken[-max_messages:]]
    opening = next((text for role, text in turns if role is Role.USER), turns[0][1] if turns else "")
    lines: list[str] = []
    room = _MAX_CHARACTERS
    for role, text in reversed(turns):
        shown = cut_text(text, min(room, int(_MAX_CHARACTERS * _SHARE) if len(turns) > 1 else room))
        lines.append(f"{role.lower()}: {shown}")
        room -= len(shown)
        if room <= 0:
            break
    return "\n".join(reversed(lines)), f"user: {cut_text(opening, _MAX_CHARACTERS)}"
