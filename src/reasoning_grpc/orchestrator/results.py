"""Results of tasks as lines of JSON: for tasks that need them, for a new plan, and for the answer."""

import json
from collections.abc import Iterable
from typing import Any, Final

from msgspec.structs import replace

from reasoning_grpc.agent import Transcript, enclose_data
from reasoning_grpc.domain import Message, ModelInfo, Part, PlannedTask, Role, Task, TaskOutcome, Text
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.tools import cut

MOST_RESULT_CHARACTERS: Final = 20_000
"""A longer result of a task is cut, and says so."""
_TAG: Final = "task_results"
_CHARACTERS_PER_TOKEN: Final = 2
"""All results together may fill about half of a context window, of which a token has about four characters."""


def write_results(ended: Iterable[tuple[PlannedTask, Task]], info: ModelInfo) -> str:
    """Writes each task with its outcome and its result as one line of JSON, between tags that no result can contain.

    Together they leave room in the context window of the model.
    """
    tasks = list(ended)
    room = MOST_RESULT_CHARACTERS
    if info.context_window_tokens is not None:
        room = min(room, info.context_window_tokens * _CHARACTERS_PER_TOKEN // max(1, len(tasks)))
    return enclose_data(_TAG, (_write_line(planned, task, room) for planned, task in tasks))


def _write_line(planned: PlannedTask, task: Task, room: int) -> str:
    facts: dict[str, Any] = {"task": planned.id, "goal": planned.goal, "outcome": task.outcome.lower()}
    if task.result or task.outcome is TaskOutcome.DONE:
        facts["result"] = cut(task.result, room)[0]
    return json.dumps(facts, ensure_ascii=False)


def append_to_question(call: ModelCall, text: str) -> tuple[ModelCall, Message]:
    """Returns the call with a text behind the conversation's question, and the message that has both.

    Calls and results of the caller's tools are written as text, because the call does not have these tools.
    """
    messages, question = Transcript(call.messages, "", native=False).build_answer_messages("")
    if question is None or question.role is not Role.USER:
        message = Message(Role.USER, (Part(Text(text)),))
        return replace(call, messages=(*messages, message)), message
    message = question.append_text(text)
    return replace(call, messages=(*messages[:-1], message)), message
