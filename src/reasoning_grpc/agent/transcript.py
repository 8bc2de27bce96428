"""`Transcript`: the conversation and what the agent did since, as the model is shown it."""

from collections.abc import Iterator, Sequence
from typing import Final

from reasoning_grpc.agent.plan import Plan
from reasoning_grpc.tools.results import cut
from reasoning_grpc.types import (
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolExecution,
    ToolResult,
)

_GO_ON: Final = "Go on with the next step."
_NOTES: Final = "Your notes on this:"
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
        examples: Sequence[Message] = (),
        most_characters: int | None = None,
    ) -> None:
        """`instructions` go to the end of the system's words, `examples` before the conversation.

        `native` tells of tool calls by the provider's own parts. `most_characters` is what the notes of all steps may
        have, and twice what the results of one step may; what is over is cut, visibly. None: any number.
        """
        self._system = [message for message in conversation if message.role is Role.SYSTEM]
        self._conversation = [_in_words(message) for message in conversation if message.role is not Role.SYSTEM]
        if not self._conversation or self._conversation[-1].role is Role.ASSISTANT:
            self._conversation.append(_user(_GO_ON))
        self._instructed = _instructed(self._system, instructions)
        self._native = native
        self._most_characters = most_characters
        self._examples = tuple(examples)
        self._steps: list[Message] = []
        self._notes: list[str] = []

    def messages(self) -> tuple[Message, ...]:
        """What the model is shown for the next step."""
        return (self._instructed, *self._examples, *self._conversation, *self._steps)

    @property
    def head(self) -> int:
        """How many of the messages come before the conversation."""
        return 1 + len(self._examples)

    @property
    def question(self) -> Message:
        """The message that is to be answered."""
        return self._conversation[-1]

    def for_answer(self, request: str) -> tuple[tuple[Message, ...], Message]:
        """What the model is shown when it is asked for the answer in these words; and which message it answers.

        Steps in JSON are told as notes: after them it would go on in JSON.
        """
        if self._native:
            return (*self.messages(), _user(request)), self.question
        words = "\n\n".join((_NOTES, *self._latest_notes(), request)) if self._notes else ""
        question = self.question.with_words(words) if words else self.question
        return (*self._system, *self._conversation[:-1], question), question

    def add(self, plan: Plan, answer: Message, executions: Sequence[ToolExecution]) -> None:
        """A step: what the model said, and what came of its tools."""
        results = list(_results(plan.tool_calls, executions, self._most_characters))
        if self._native:
            self._steps.append(answer)
            parts = tuple(Part(result) for _, result in results)
            self._steps += [Message(Role.TOOL, parts)] if parts else []
            return
        told = [f"{call.name}({call.arguments}): {result.content}" for call, result in results]
        self._notes.append("\n".join((plan.thought, *told)))
        self._steps += [Message(Role.ASSISTANT, tuple(_kept(answer))), _user("\n\n".join(told) or _GO_ON)]

    def _latest_notes(self) -> list[str]:
        """As many of the notes, the latest, as may be told; of the last one what has room."""
        left = self._most_characters
        if left is None:
            return self._notes
        kept: list[str] = []
        for note in reversed(self._notes):
            if kept and len(note) > left:
                return [_EARLIER, *kept[::-1]]
            kept.append(cut(note, left)[0])
            left -= len(note)
        return kept[::-1]


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


def _results(
    calls: Sequence[ToolCall], executions: Sequence[ToolExecution], most_characters: int | None
) -> Iterator[tuple[ToolCall, ToolResult]]:
    """Each call and its result; one that was not run says so."""
    share = None if most_characters is None else most_characters // 2 // max(1, len(calls))
    ended = {execution.call_id: execution for execution in executions}
    for call in calls:
        execution = ended.get(call.id)
        if execution is None:
            yield call, ToolResult(call.id, _NOT_RUN, is_error=True)
        else:
            text = execution.text_for_model
            yield call, ToolResult(call.id, text if share is None else cut(text, share)[0], bool(execution.error))


def _user(text: str) -> Message:
    return Message(Role.USER, (Part(Text(text)),))
