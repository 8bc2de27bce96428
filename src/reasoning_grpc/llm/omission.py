"""Leaves out the oldest messages of a call, so that its prompt fits."""

from collections.abc import Callable, Sequence, Set
from functools import cache

from msgspec.structs import replace

from reasoning_grpc.domain import Message, Role, ToolCall, ToolResult
from reasoning_grpc.domain.errors import ContextWindowExceeded
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens


def omit_oldest_messages(
    call: ModelCall,
    room_tokens: int,
    count: Callable[[ModelCall], int],
    *,
    head: int = 0,
    question: Message | None = None,
) -> ModelCall:
    """Returns the call without its oldest messages, as few as possible, so that its prompt has at most `room_tokens`.

    The rest of the conversation begins with a message of the user, and every tool result in it has its call. These
    messages always stay: system messages, the first `head` messages, the last message of the user, and all after it.

    With a `question`, which is one of the messages, this one stays instead of the last message of the user. If it
    does not suffice to omit all messages before it, then the oldest ones after it are omitted, too, up to a message
    of the assistant. The last such message stays, and all after it.

    `count` is called once for a message, newest first, and not for messages far beyond the room. The counts of parts
    must add up to the count of the whole. The tokens of omitted messages are estimated.

    Raises ContextWindowExceeded when no omission suffices.
    """
    messages, single = call.messages, replace(call, tools=(), response_format=None)
    tokens = cache(lambda index: count(replace(single, messages=(messages[index],))))
    stay = {index for index, message in enumerate(messages) if index < head or message.role is Role.SYSTEM}
    turns = [index for index in range(len(messages)) if index not in stay]
    question_index = len(messages) if question is None else max(at for at in turns if messages[at] is question)
    room = room_tokens - count(replace(call, messages=())) - sum(map(tokens, stay))

    starts = {*turns[:1], *(index for index in _find_starts(messages, Role.USER, head) if index <= question_index)}
    first = _find_first_fitting(turns, starts, room, tokens)
    if first is None and question is not None:
        stay.add(question_index)
        after = [index for index in turns if index > question_index]
        starts = _find_starts(messages, Role.ASSISTANT, head)
        first = _find_first_fitting(after, starts, room - tokens(question_index), tokens)
    if first is None:
        raise ContextWindowExceeded(model=call.model, is_upstream_reached=False)
    return _omit_before(call, first, stay)


def _find_first_fitting(
    indices: Sequence[int], starts: set[int], room: int, tokens: Callable[[int], int]
) -> int | None:
    """Returns the first start from which all of these messages fit; None when they do not fit even from the last."""
    first = 0 if not indices and room >= 0 else None  # there is nothing to leave out
    for index in reversed(indices):
        room -= tokens(index)
        if room < 0:
            break
        if index in starts:
            first = index
    return first


def _find_starts(messages: Sequence[Message], role: Role, head: int) -> set[int]:
    """Returns the messages of a role with which the conversation may continue after its head.

    These are the ones from which on every tool result has its call.
    """
    found: set[int] = set()
    dependencies = _find_dependencies(messages, head)
    earliest = len(messages)
    for index in reversed(range(len(messages))):
        earliest = min(earliest, dependencies[index])
        if messages[index].role is role and earliest == index:
            found.add(index)
    return found


def _find_dependencies(messages: Sequence[Message], head: int) -> list[int]:
    """Returns, for each message, the index of the earliest message after the head on which it depends.

    A tool result depends on the latest call of its id, any other message only on itself.
    """
    calls: dict[str, int] = {}
    dependencies: list[int] = []
    for index, message in enumerate(messages):
        contents = [part.content for part in message.content]
        results = [content.call_id for content in contents if isinstance(content, ToolResult)]
        dependencies.append(min((calls.get(call_id, index) for call_id in results), default=index))
        if index >= head:
            calls |= {content.id: index for content in contents if isinstance(content, ToolCall)}
    return dependencies


def _omit_before(call: ModelCall, first: int, stay: Set[int]) -> ModelCall:
    stays = [index >= first or index in stay for index in range(len(call.messages))]
    if all(stays):
        return call
    omitted = tuple(message for message, is_kept in zip(call.messages, stays, strict=True) if not is_kept)
    omitted_call = replace(call, messages=omitted, tools=(), response_format=None)
    return replace(
        call,
        messages=tuple(message for message, is_kept in zip(call.messages, stays, strict=True) if is_kept),
        omitted_messages=call.omitted_messages + len(omitted),
        omitted_tokens=call.omitted_tokens + sum_prompt_tokens(omitted_call, estimate_text_tokens),
    )
