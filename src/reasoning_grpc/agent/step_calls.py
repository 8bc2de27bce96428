"""`StepCalls`: the tool calls of a step: which of them can run now, and which wait for the caller."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    Approval,
    CallerAnswer,
    Message,
    ToolCall,
    ToolExecution,
    ToolInfo,
    ToolSource,
    ToolStatus,
    WaitingCall,
)

_NOT_APPROVED: Final = "The caller did not approve this call."
_OWN_TOOL_FAILED: Final = "The tool failed."


class StepCalls:
    """The tool calls of one step, in the order of its plan.

    Calls that depend on each other go one after the other, so that what stands behind a waiting call waits as well.
    """

    def __init__(self, calls: Sequence[ToolCall], tools: Iterable[ToolInfo], *, concurrent: bool) -> None:
        """`concurrent` says that the calls do not depend on each other."""
        self.calls: Final = tuple(calls)
        self._needs_approval: Final = {
            tool.name: tool.needs_approval for tool in tools if tool.needs_approval or tool.source is ToolSource.CALLER
        }
        """The tools whose calls wait for the caller, and whether for an approval."""
        self._concurrent: Final = concurrent
        self._left = list(calls)
        self.executions: list[ToolExecution] = []
        """The calls that have ended, those of the caller's own tools included."""
        self.denied: dict[str, ToolExecution] = {}
        """The outcomes of calls that the caller did not approve."""

    def restore(self, executions: Sequence[ToolExecution], answers: Mapping[str, CallerAnswer]) -> None:
        """Takes up the calls after a pause, with the caller's answers to those that waited."""
        ended = {execution.call_id for execution in executions} | answers.keys()
        self.executions = list(executions)
        self._left = [call for call in self._left if call.id not in ended]
        answered = [call for call in self.calls if call.id in answers]
        for call in answered:
            answer = answers[call.id]
            if isinstance(answer, Approval):
                if not answer.approved:
                    self.denied[call.id] = _deny(call, answer.reason)
                continue
            self.executions.append(
                ToolExecution(
                    call_id=call.id,
                    name=call.name,
                    arguments=call.arguments,
                    status=ToolStatus.FAILED if answer.is_error else ToolStatus.OK,
                    result=answer.content,
                    error=_OWN_TOOL_FAILED if answer.is_error else "",
                )
            )

    def list_approved(self, answers: Mapping[str, CallerAnswer]) -> list[ToolCall]:
        """Returns the calls of the server's tools that the caller has decided on, denied ones included."""
        return [call for call in self.calls if isinstance(answers.get(call.id), Approval)]

    def take_runnable(self) -> list[ToolCall]:
        """Returns the calls that can run now, which then count as begun."""
        if self._concurrent:
            runnable = [call for call in self._left if call.name not in self._needs_approval]
        else:
            first = next((row for row, call in enumerate(self._left) if call.name in self._needs_approval), None)
            runnable = self._left[:first]
        self._left = [call for call in self._left if call not in runnable]
        return runnable

    def list_waiting(self, answer: Message) -> tuple[WaitingCall, ...]:
        """Returns the calls that wait for the caller now. `answer` is the model's, which has their signatures."""
        signatures = {part.content.id: part.signature for part in answer.content if isinstance(part.content, ToolCall)}
        waiting = self._left if self._concurrent else self._left[:1]
        return tuple(
            WaitingCall(call, self._needs_approval[call.name], signatures.get(call.id, "")) for call in waiting
        )


def _deny(call: ToolCall, reason: str) -> ToolExecution:
    execution = ToolExecution(
        call_id=call.id,
        name=call.name,
        arguments=call.arguments,
        status=ToolStatus.NOT_APPROVED,
        error=_NOT_APPROVED,
    )
    return replace(execution, result=reason) if reason else execution
