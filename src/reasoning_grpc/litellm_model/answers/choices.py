"""Selects the one choice of a part of an answer that is read; we never ask for a second one."""

from typing import Any


def select_choice(choices: object) -> dict[str, Any] | None:
    """Returns the choice with the index 0, or the first one where the choices have no index; None if there is none."""
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict):
            index = choice.get("index")
            if index == 0 or not isinstance(index, int) or isinstance(index, bool):
                return choice
    return None
