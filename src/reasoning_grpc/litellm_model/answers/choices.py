"""Selects the one choice of a part of an answer that is read; we never ask for a second one."""

from reasoning_grpc.litellm_model.lenient import Json


def select_choice(choices: object) -> Json | None:
    """Returns the choice with the index 0, or the first one where the choices have no index; None if there is none."""
    if not isinstance(choices, list):
        return None
    for choice in choices:
        if isinstance(choice, dict):
            index = choice.get("index")
            if not index or not isinstance(index, int) or isinstance(index, bool):
                return choice
    return None
