"""Checks that `Complete` gives the answer that the events of `StreamComplete` fold to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2
from tests.support.serving import RunningServer
from tests.support.streams import check_order, check_timings, read_stream


@dataclass(slots=True)
class DeltaFold:
    """Folds the deltas of a stream by the comments of the proto, independently of the client's own fold."""

    parts: list[messages_pb2.Part] = field(default_factory=list)
    is_closed: bool = True

    def add(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Adds one event."""
        match event.WhichOneof("kind"):
            case "content_delta" if event.content_delta.refusal:
                self._continue_or_begin("refusal").refusal += event.content_delta.text
            case "content_delta":
                self._continue_or_begin("text").text += event.content_delta.text
            case "reasoning_delta":
                self._add_reasoning(event.reasoning_delta)
            case "tool_call_delta":
                self._add_tool_call(event.tool_call_delta)
            case "run_paused":
                self.parts.append(messages_pb2.Part(paused_run=event.run_paused))

    def _continue_or_begin(self, kind: str) -> messages_pb2.Part:
        if self.is_closed or self.parts[-1].WhichOneof("kind") != kind:
            part = messages_pb2.Part()
            if kind == "reasoning":
                part.reasoning.text = ""
            else:
                setattr(part, kind, "")
            self.parts.append(part)
        self.is_closed = False
        return self.parts[-1]

    def _add_reasoning(self, delta: events_pb2.ReasoningDelta) -> None:
        if delta.WhichOneof("form") == "redacted":
            reasoning = messages_pb2.Reasoning(redacted=delta.redacted)
            self.parts.append(messages_pb2.Part(reasoning=reasoning, signature=delta.signature))
            self.is_closed = True
            return
        part = self._continue_or_begin("reasoning")
        part.reasoning.text += delta.text
        part.signature = delta.signature
        self.is_closed = bool(delta.signature)

    def _add_tool_call(self, delta: events_pb2.ToolCallDelta) -> None:
        for part in self.parts:
            if part.tool_call.id == delta.call_id:
                part.tool_call.arguments += delta.arguments
                return
        call = messages_pb2.ToolCall(id=delta.call_id, name=delta.name, arguments=delta.arguments)
        self.parts.append(messages_pb2.Part(tool_call=call))
        self.is_closed = True


async def check_fold(running: RunningServer, request: completion_pb2.CompleteRequest) -> None:
    """Checks that `StreamComplete` and `Complete` give the same answer, or the same failure, to a request."""
    events, failure = await read_stream(running, request)
    check_order(events, failure)
    if failure is not None:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)
        assert select_failure_facts(failed.value) == select_failure_facts(failure)
        return

    response = await running.client().complete(request)
    delta_fold = DeltaFold()
    for event in events:
        delta_fold.add(event)
    started, completed = events[0].started, events[-1].completed
    check_timings(completed.timings)
    check_timings(response.timings)
    ids = {
        id_: f"call {number}"
        for parts in (delta_fold.parts, response.message.content)
        for number, id_ in number_call_ids(parts)
    }
    assert rename_calls(response.message.content, ids) == rename_calls(delta_fold.parts, ids)
    assert response.message.role == messages_pb2.ROLE_ASSISTANT
    assert (response.route_decision, response.model) == (started.route_decision, completed.model)
    assert (response.finish_reason, response.provider_finish_reason) == (
        completed.finish_reason,
        completed.provider_finish_reason,
    )
    assert (response.usage, response.cost) == (completed.usage, completed.cost)
    assert response.HasField("cost") == completed.HasField("cost")
    assert [attempt.failure for attempt in response.attempts] == [attempt.failure for attempt in completed.attempts]


def select_failure_facts(failure: CallFailed) -> Any:
    """Returns what both RPCs must report of a failure: all but ids, and the numbers of events, which vary."""
    assert failure.interruption is not None
    progress = failure.interruption
    return (
        failure.code,
        failure.reason,
        failure.message,
        failure.metadata,
        failure.retry_after_seconds,
        progress.usage,
        progress.cost,
        progress.attempt_count,
        progress.model_call_count,
        progress.content_characters,
    )


def number_call_ids(parts: Sequence[messages_pb2.Part]) -> list[tuple[int, str]]:
    """Returns the ids of the tool calls with their numbers, because ids made by the server differ between answers."""
    return list(enumerate(part.tool_call.id for part in parts if part.HasField("tool_call")))


def rename_calls(parts: Sequence[messages_pb2.Part], ids: dict[str, str]) -> list[messages_pb2.Part]:
    """Returns copies of the parts, with other ids of tool calls."""
    copies = []
    for part in parts:
        copy = messages_pb2.Part()
        copy.CopyFrom(part)
        if copy.HasField("tool_call"):
            copy.tool_call.id = ids[copy.tool_call.id]
        copies.append(copy)
    return copies
