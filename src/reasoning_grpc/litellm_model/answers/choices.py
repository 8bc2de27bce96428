"""Selects the one choice of a part of an answer that is read, and its content; we never ask for a second choice."""

from collections.abc import Mapping
from typing import Any

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.lenient import Json, read_label


def select_choice(choices: object) -> Json | None:
    """Returns the choice with the index 0, or the first one where the choices have no index; None if there is none."""
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict) and not (choice.get("index") and read_label(choice["index"])):
            return choice
    return None


def select_delta(choice: Mapping[str, Any], *, is_first: bool) -> Json:
    """Returns the delta of a choice, or the whole message where that comes first; empty if it has neither.

    In later parts, some servers repeat the answer so far as a message. Raises MalformedAnswer where content would be
    lost.
    """
    delta = choice.get("delta")
    if not delta and is_first:
        delta = choice.get("message")
    if delta and isinstance(delta, dict):
        return delta
    if (delta and isinstance(delta, str | list)) or choice.get("text"):
        raise MalformedAnswer("a choice has its text outside a delta")
    return {}
