"""`Transcript`: the conversation and what the agent did since, as the model is shown it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.agent.result_lines import result_lines
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
from reasoning_grpc.tools.results import cut

_GO_ON: Final = "Go on."
_NEXT_STEP: Final = "Go on with the next step."
_NOTES: Final = "Your notes on this:"
_ANY: Final = 2**63
_EARLIER: Final = "[earlier notes are left out]"
_NOT_RUN: Final = "It was not run."


class Transcript:
    """Messages, oldest first; each step adds to them. It belongs to one run."""

    def __init__(
        self,
        conversation: Sequence[Message],
        instructions: str,
        *,
        native: bool,
        system_prompt: str = "",
        examples: Sequence[Message] = (),
        most_characters: int | None = None,
    ) -> None:
        """`instructions` go to the end of the system's words, `examples` before the conversation.

        `system_prompt` is what the model is sent first where a conversation has no system message, with or without us.
        `native` tells of tool calls by the provider's own parts. `most_characters` is what the notes of all steps may
        have, and twice what the results of one step may; what is over is cut, visibly. None: any number.
        """
        self._system = [message for message in conversation if message.role is Role.SYSTEM]
        self._conversation = [_in_words(message) for message in conversation if message.role is not Role.SYSTEM]
        asks = self._conversation and self._conversation[-1].role is not Role.ASSISTANT
        self._opening: tuple[Message, ...] = () if asks else (_user(_GO_ON),)
        """What the steps begin with where nobody asks anything."""
        said_first = [_system(system_prompt)] if system_prompt and not self._system else self._system
        self._instructed = _instructed(said_first, instructions)
        self._native = native
        self._most_characters = most_characters
        self._examples = () if native else tuple(examples)
        self._steps: list[Message] = []
        self._notes: list[tuple[str, str]] = []
        """Of each step in JSON its thought, and what came of its tools."""

    def messages(self) -> tuple[Message, ...]:
        """What the model is shown for the next step."""
        return (self._instructed, *self._examples, *self._conversation, *self._opening, *self._steps)

    @property
    def head(self) -> int:
        """How many of the messages come before the conversation."""
        return 1 + len(self._examples)

    @property
    def question(self) -> Message:
        """The message that is to be answered."""
        return (*self._conversation, *self._opening)[-1]

    def for_answer(self, request: str) -> tuple[tuple[Message, ...], Message | None]:
        """What the model is shown when it is asked for the answer in these words; and which message it answers.

        Steps in JSON are told as notes: after them it would go on in JSON. Without steps it is shown what it would be
        without the agent, and may have no message to answer.
        """
        if not self._steps:
            return (*self._system, *self._conversation), None if self._opening else self.question
        if self._native:
            return (*self.messages(), _user(request)), self.question
        words = "\n\n".join((_NOTES, *self._latest_notes(), request))
        if self._opening:
            said, question = self._conversation, _user(words)
        else:
            said, question = self._conversation[:-1], self.question.with_words(words)
        return (*self._system, *said, question), question

    def add(self, plan: Plan, answer: Message, executions: Sequence[ToolExecution]) -> None:
        """A step: what the model said, and what came of its tools."""
        results = list(_results(plan.tool_calls, executions))
        most = None if self._most_characters is None else self._most_characters // 2 // max(1, len(results))
        if self._native:
            parts = tuple(Part(_within(result, most)) for _, result in results)
            said = replace(answer, content=tuple(map(_with_object, answer.content)))
            self._steps += [said, Message(Role.TOOL, parts)] if parts else [said]
            return
        told = result_lines(results, most) if results else ""
        self._notes.append((plan.thought, told))
        self._steps += [Message(Role.ASSISTANT, tuple(_kept(answer))), _user(told or _NEXT_STEP)]

    def _latest_notes(self) -> Iterator[str]:
        """As many of the notes, the latest, as may be told; of the last one's thought what has room."""
        left = _ANY if self._most_characters is None else self._most_characters
        kept = 0
        for thought, told in reversed(self._notes):
            left -= len(thought) + len(told)
            if left < 0:
                break
            kept += 1
        if kept < len(self._notes):
            yield _EARLIER
        if kept:
            yield from map(_note, self._notes[-kept:])
            return
        thought, told = self._notes[-1]
        yield _note((cut(thought, max(0, left + len(thought)))[0], told))


def _note(note: tuple[str, str]) -> str:
    return "\n".join(filter(None, note))


def _instructed(system: Sequence[Message], instructions: str) -> Message:
    """One message of all that the system says: many servers take no second one."""
    parts = tuple(part for message in system for part in message.content)
    return Message(Role.SYSTEM, parts).with_words(instructions)


def _in_words(message: Message) -> Message:
    """A message of the conversation, with its tool calls and results in words.

    They are of tools of the caller's own, which this call does not have, so that providers refuse them as parts.
    """
    if not any(isinstance(part.content, ToolCall | ToolResult) for part in message.content):
        return message
    parts = tuple(map(_part_in_words, message.content))
    return Message(Role.USER if message.role is Role.TOOL else message.role, parts, message.name)


def _part_in_words(part: Part) -> Part:
    match part.content:
        case ToolCall(name=name, arguments=arguments):
            return Part(Text(f"[called the tool {name}: {arguments}]"), cache=part.cache)
        case ToolResult(content=content):
            return Part(Text(f"[result of the tool: {content}]"), cache=part.cache)
        case _:
            return part


def _kept(answer: Message) -> Iterator[Part]:
    """What goes back of an answer in JSON: of the model's own reasoning only what its provider wants to see again."""
    return (
        part
        for part in answer.content
        if not isinstance(part.content, Reasoning) or part.signature or part.content.redacted
    )


def _with_object(part: Part) -> Part:
    """A part as every server takes it back: some refuse a call whose arguments are no JSON object."""
    if not isinstance(part.content, ToolCall):
        return part
    try:
        msgspec.json.decode(part.content.arguments, type=dict[str, Any])
    except (ValueError, RecursionError):
        arguments = json.dumps({"malformed_arguments": part.content.arguments}, ensure_ascii=False)
        return replace(part, content=replace(part.content, arguments=arguments))
    return part


def _results(calls: Sequence[ToolCall], executions: Sequence[ToolExecution]) -> Iterator[tuple[ToolCall, ToolResult]]:
    """Each call and its result; one that was not run says so."""
    ended = {execution.call_id: execution for execution in executions}
    for call in calls:
        execution = ended.get(call.id)
        if execution is None:
            yield call, ToolResult(call.id, _NOT_RUN, is_error=True)
        else:
            yield call, ToolResult(call.id, execution.text_for_model, bool(execution.error))


def _within(result: ToolResult, most_characters: int | None) -> ToolResult:
    return result if most_characters is None else replace(result, content=cut(result.content, most_characters)[0])


def _system(text: str) -> Message:
    return Message(Role.SYSTEM, (Part(Text(text)),))


def _user(text: str) -> Message:
    return Message(Role.USER, (Part(Text(text)),))
