"""`Transcript`: the conversation and the steps of a run, as messages for the model."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.agent.result_lines import format_results
from reasoning_grpc.domain import (
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolExecution,
    ToolResult,
)
from reasoning_grpc.tools import cut

_GO_ON: Final = "Go on."
_NEXT_STEP: Final = "Go on with the next step."
_NOTES: Final = "Your notes on this:"
_UNLIMITED: Final = 2**63
_EARLIER: Final = "[earlier notes are left out]"
_NOT_RUN: Final = "It was not run."


class TranscriptState(Struct, frozen=True, array_like=True):
    """The steps of a run, as its state has them while it pauses."""

    steps: tuple[Message, ...]
    notes: tuple[tuple[str, str], ...]


class Transcript:
    """The messages of one run, oldest first. Each step adds to them."""

    def __init__(
        self,
        conversation: Sequence[Message],
        instructions: str,
        *,
        native: bool,
        system_prompt: str = "",
        examples: Sequence[Message] = (),
        max_characters: int | None = None,
    ) -> None:
        """`instructions` are appended to the system message; `examples` precede the conversation.

        `system_prompt` is the model's own, for conversations without a system message. With `native`, tool calls and
        results are written as the provider's own parts. `max_characters` limits the notes of all steps together, and
        half of it the results of one step; what is longer is cut, and says so. None means no limit.
        """
        self._system = [message for message in conversation if message.role is Role.SYSTEM]
        self._conversation = [_write_out(message) for message in conversation if message.role is not Role.SYSTEM]
        has_question = self._conversation and self._conversation[-1].role is not Role.ASSISTANT
        self._opening: tuple[Message, ...] = () if has_question else (_user(_GO_ON),)
        """The message that opens the steps when the conversation ends with the assistant."""
        system = [_system(system_prompt)] if system_prompt and not self._system else self._system
        before = (_append_instructions(system, instructions), *(() if native else examples))
        self._beginning = (*before, *self._conversation, *self._opening)
        self.head: Final = len(before)
        """The number of messages that precede the conversation."""
        self.question: Final = self._beginning[-1]
        """The message that the run answers."""
        self._native = native
        self._max_characters = max_characters
        self._steps: list[Message] = []
        self._notes: list[tuple[str, str]] = []
        """For each step in JSON its thought, and the lines of its tool results."""

    def save(self) -> TranscriptState:
        """Returns the steps so far, for the state of the run."""
        return TranscriptState(tuple(self._steps), tuple(self._notes))

    def restore(self, state: TranscriptState) -> None:
        """Takes up the steps of a run that paused."""
        self._steps, self._notes = list(state.steps), list(state.notes)

    def messages(self) -> tuple[Message, ...]:
        """Returns the messages of the call for the next step."""
        return (*self._beginning, *self._steps)

    def build_answer_messages(self, instruction: str) -> tuple[tuple[Message, ...], Message | None]:
        """Returns the messages of the call for the answer, and the message that it answers.

        `instruction` asks the model for the answer. Steps in JSON are written as notes, because after messages in JSON
        a model goes on in JSON. Without steps the messages are those of a call without the agent, and then there may be
        no message to answer.
        """
        if not self._steps:
            return (*self._system, *self._conversation), None if self._opening else self.question
        if self._native:
            return (*self.messages(), _user(instruction)), self.question
        text = "\n\n".join((_NOTES, *self._latest_notes(), instruction))
        if self._opening:
            earlier, question = self._conversation, _user(text)
        else:
            earlier, question = self._conversation[:-1], self.question.append_text(text)
        return (*self._system, *earlier, question), question

    def record_step(self, plan: Plan, answer: Message, executions: Sequence[ToolExecution]) -> None:
        """Records a step: the model's answer, and the results of its tools."""
        results = list(_results(plan.tool_calls, executions))
        limit = None if self._max_characters is None else self._max_characters // 2 // max(1, len(results))
        if self._native:
            parts = tuple(Part(_cut(result, limit)) for _, result in results)
            assistant = replace(answer, content=tuple(map(_with_valid_arguments, answer.content)))
            self._steps += [assistant, Message(Role.TOOL, parts)] if parts else [assistant]
            return
        lines = format_results(results, limit) if results else ""
        self._notes.append((plan.thought, lines))
        self._steps += [Message(Role.ASSISTANT, tuple(_parts_to_keep(answer))), _user(lines or _NEXT_STEP)]

    def _latest_notes(self) -> Iterator[str]:
        """Yields the latest notes that fit the limit, but at least the results of the last step."""
        left = _UNLIMITED if self._max_characters is None else self._max_characters
        kept = 0
        for thought, lines in reversed(self._notes):
            left -= len(thought) + len(lines)
            if left < 0:
                break
            kept += 1
        if kept < len(self._notes):
            yield _EARLIER
        if kept:
            yield from map(_note, self._notes[-kept:])
            return
        thought, lines = self._notes[-1]
        yield _note((cut(thought, max(0, left + len(thought)))[0], lines))


def _note(note: tuple[str, str]) -> str:
    return "\n".join(filter(None, note))


def _append_instructions(system: Sequence[Message], instructions: str) -> Message:
    """Joins all system messages and the instructions into one message: many servers take only one."""
    parts = tuple(part for message in system for part in message.content)
    return Message(Role.SYSTEM, parts).append_text(instructions)


def _write_out(message: Message) -> Message:
    """Writes the tool calls and results in a message of the conversation as text.

    They belong to the caller's own tools. The agent's calls do not have these tools, and providers refuse parts of
    tools that a call does not have.
    """
    if not any(isinstance(part.content, ToolCall | ToolResult) for part in message.content):
        return message
    parts = tuple(map(_write_out_part, message.content))
    return Message(Role.USER if message.role is Role.TOOL else message.role, parts, message.name)


def _write_out_part(part: Part) -> Part:
    match part.content:
        case ToolCall(name=name, arguments=arguments):
            return Part(Text(f"[called the tool {name}: {arguments}]"), cache=part.cache)
        case ToolResult(content=content):
            return Part(Text(f"[result of the tool: {content}]"), cache=part.cache)
        case _:
            return part


def _parts_to_keep(answer: Message) -> Iterator[Part]:
    """Yields the parts of an answer in JSON that go back to the model.

    The model's own reasoning is left out, unless its provider wants it back: then it is signed or encrypted.
    """
    return (
        part
        for part in answer.content
        if not isinstance(part.content, Reasoning) or part.signature or part.content.redacted
    )


def _with_valid_arguments(part: Part) -> Part:
    """Wraps arguments that are not a JSON object, because some servers refuse to take such a call back."""
    if not isinstance(part.content, ToolCall):
        return part
    try:
        msgspec.json.decode(part.content.arguments, type=dict[str, Any])
    except (ValueError, RecursionError):
        arguments = json.dumps({"malformed_arguments": part.content.arguments}, ensure_ascii=False)
        return replace(part, content=replace(part.content, arguments=arguments))
    return part


def _results(calls: Sequence[ToolCall], executions: Sequence[ToolExecution]) -> Iterator[tuple[ToolCall, ToolResult]]:
    """Yields each call with its result. The result of a call that was not run says so."""
    by_id = {execution.call_id: execution for execution in executions}
    for call in calls:
        execution = by_id.get(call.id)
        if execution is None:
            yield call, ToolResult(call.id, _NOT_RUN, is_error=True)
        else:
            yield call, ToolResult(call.id, execution.text_for_model, bool(execution.error))


def _cut(result: ToolResult, max_characters: int | None) -> ToolResult:
    return result if max_characters is None else replace(result, content=cut(result.content, max_characters)[0])


def _system(text: str) -> Message:
    return Message(Role.SYSTEM, (Part(Text(text)),))


def _user(text: str) -> Message:
    return Message(Role.USER, (Part(Text(text)),))
