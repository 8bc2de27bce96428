"""Messages of the system after the first turn, for models of Anthropic that do not take them where they stand.

Models that take any do so between a turn of the user and one of the assistant, or at the end. Source: Anthropic's
documentation of mid-conversation system messages.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Message, Role
from reasoning_grpc.litellm_model.request.dialects.claude.conversation import is_turn
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.llm import ModelCall

_FROM_USER: Final = frozenset({Role.USER, Role.TOOL})


def report_later_system(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports the messages that `move_later_system` moves."""
    for row in _find_misplaced_system(call.messages, model):
        if _find_end_of_turn(call.messages, row, model) is not None:
            yield _report(
                row, "before the user's turn", "after it", "The model takes it only after a turn of the user."
            )
        else:
            reason = "The model takes this message of the system only before the first turn."
            yield _report(row, "after the first turn", "in the system prompt", reason)


def move_later_system(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Moves later messages of the system to a place where the model takes them.

    That is the system prompt. A model that binds its reasoning to the conversation would lose all of it by a change of
    the system prompt, so there it is the end of the user's next turn.
    """
    later = _find_misplaced_system(call.messages, model)
    if not later:
        return call, None
    start = _count_leading_system(call.messages)
    leading, after_turn = list(call.messages[:start]), dict[int, list[Message]]()
    for row in later:
        place = _find_end_of_turn(call.messages, row, model)
        (leading if place is None else after_turn.setdefault(place, [])).append(call.messages[row])
    rest: list[Message] = []
    for row in range(start, len(call.messages)):
        rest += after_turn.get(row, [])
        if row not in later:
            rest.append(call.messages[row])
    return replace(call, messages=(*leading, *rest, *after_turn.get(len(call.messages), []))), None


def _find_misplaced_system(messages: tuple[Message, ...], model: str) -> list[int]:
    """Returns the later messages of the system that the model does not take in their place."""
    start = _count_leading_system(messages)
    later = [row for row in range(start, len(messages)) if messages[row].role is Role.SYSTEM]
    if later and describe_claude(model).takes_later_system:
        return [row for row in later if not _stands_after_user(messages, row)]
    return later


def _find_end_of_turn(messages: tuple[Message, ...], row: int, model: str) -> int | None:
    """Returns the place after the user's next turn, for a model that loses its reasoning by a change of the prompt.

    None where another model gets the message in the system prompt, or the user has no further turn.
    """
    facts = describe_claude(model)
    if not (facts.binds_reasoning and facts.takes_later_system):
        return None
    end: int | None = None
    for place in range(row, len(messages)):
        if messages[place].role in _FROM_USER and is_turn(messages[place]):
            end = place + 1
        elif end is not None and is_turn(messages[place]):
            break
    return end


def _count_leading_system(messages: tuple[Message, ...]) -> int:
    return next((row for row, message in enumerate(messages) if message.role is not Role.SYSTEM), len(messages))


def _stands_after_user(messages: tuple[Message, ...], row: int) -> bool:
    """Whether a message follows a turn of the user, and precedes one of the assistant or the end."""
    before = next(filter(is_turn, reversed(messages[:row])), None)
    after = next(filter(is_turn, messages[row:]), None)
    follows_user = before is not None and before.role in _FROM_USER
    return follows_user and (after is None or after.role is Role.ASSISTANT)


def _report(row: int, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(f"messages[{row}]", requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
