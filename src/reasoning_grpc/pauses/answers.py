"""Reads the caller's answers to the calls of a paused run from the messages behind it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from reasoning_grpc.domain import Approval, CallerAnswer, Message, ToolCall, ToolResult, WaitingCall
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest

_FORM: Final = 'It must be {"approved": true} or {"approved": false}, which may have a text "reason".'
_NO_ERROR: Final = "It must be false: an approval says yes or no."
_OTHER_CALLS: Final = "It must hold the tool calls of the paused run, unchanged."
_NO_SUCH_CALL: Final = "The paused run waits for no call of this id."
_REPEATED: Final = "Another result has this id."
_MISSING: Final = "The result of a call is missing."
_LONGEST_REASON: Final = 2000
_TOO_LONG: Final = f"Its reason must have at most {_LONGEST_REASON} characters."


class _ApprovalText(Struct, frozen=True, forbid_unknown_fields=True):
    """The form of the result that approves a call, or does not."""

    approved: bool
    reason: str = ""


def read_answers(
    messages: Sequence[Message], position: int, waiting: Sequence[WaitingCall]
) -> Mapping[str, CallerAnswer]:
    """Returns the answer to each waiting call by the id of the call.

    The message at `position` holds the calls, and those behind it the results. Raises InvalidRequest for other calls
    than those that wait, and for results that are missing, repeated, of no waiting call, or in the wrong form.
    """
    calls = [part.content for part in messages[position].content if isinstance(part.content, ToolCall)]
    if calls != [each.call for each in waiting]:
        raise InvalidRequest(violations=(FieldViolation(f"messages[{position}].content", _OTHER_CALLS),))
    waiting_by_id = {each.call.id: each for each in waiting}
    answers: dict[str, CallerAnswer] = {}
    violations: list[FieldViolation] = []
    for path, result in _list_results(messages, position + 1):
        call = waiting_by_id.get(result.call_id)
        if call is None or result.call_id in answers:
            sentence = _NO_SUCH_CALL if call is None else _REPEATED
            violations.append(FieldViolation(f"{path}.call_id", sentence))
            continue
        answers[result.call_id] = result
        if call.needs_approval:
            answer = _read_approval(result, path)
            if isinstance(answer, FieldViolation):
                violations.append(answer)
            else:
                answers[result.call_id] = answer
    if len(answers) < len(waiting):
        violations.append(FieldViolation("messages", _MISSING))
    if violations:
        raise InvalidRequest(violations=tuple(violations))
    return answers


def _list_results(messages: Sequence[Message], start: int) -> Iterator[tuple[str, ToolResult]]:
    """Yields each result from this message on, with its path."""
    for row in range(start, len(messages)):
        for column, part in enumerate(messages[row].content):
            if isinstance(part.content, ToolResult):
                yield f"messages[{row}].content[{column}].tool_result", part.content


def _read_approval(result: ToolResult, path: str) -> Approval | FieldViolation:
    if result.is_error:
        return FieldViolation(f"{path}.is_error", _NO_ERROR)
    try:
        text = msgspec.json.decode(result.content, type=_ApprovalText)
    except (ValueError, RecursionError):
        return FieldViolation(f"{path}.content", _FORM)
    if len(text.reason) > _LONGEST_REASON:
        return FieldViolation(f"{path}.content", _TOO_LONG)
    return Approval(text.approved, text.reason)
