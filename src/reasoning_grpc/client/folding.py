"""`Folder` and `fold` turn the events of a stream into an answer.

`Complete` returns the fold of the events that `StreamComplete` would have sent. This module computes the same fold for
a caller that streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable
from dataclasses import dataclass, field

from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, messages_pb2, orchestration_pb2, routing_pb2


class IncompleteStream(ValueError):
    """The events lack `started` or `completed`, so they are not a whole answer."""


async def fold(
    events: AsyncIterable[events_pb2.StreamCompleteResponse] | Iterable[events_pb2.StreamCompleteResponse],
) -> completion_pb2.CompleteResponse:
    """Returns the whole answer, folded from the events of a stream. Raises IncompleteStream."""
    folder = Folder()
    if isinstance(events, AsyncIterable):
        async for event in events:
            folder.add(event)
    else:
        for event in events:
            folder.add(event)
    return folder.response()


class Folder:
    """Folds a stream event by event, for a caller that also uses each event when it arrives."""

    def __init__(self) -> None:
        self._started: events_pb2.Started | None = None
        self._completed: events_pb2.Completed | None = None
        self._reasoning_finished: agent_pb2.ReasoningFinished | None = None
        self._paused_run: messages_pb2.PausedRun | None = None
        self._route_decision: routing_pb2.RouteDecision | None = None
        """The decision that replaces the one of `started`. None while there is none."""
        self._settings: list[completion_pb2.EffectiveSetting] = []
        self._tasks = _Tasks()
        self._steps = _Steps()
        self._answer = _Answer()

    def add(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Adds the next event. An event that says nothing about the answer changes nothing."""
        match event.WhichOneof("kind"):
            case "started":
                self._started = event.started
                self._settings.extend(event.started.effective_settings)
            case "attempt_switched":
                self._settings.extend(event.attempt_switched.effective_settings)
            case kind if event.task or kind == "plan_created":
                self._tasks.add(kind, event)
            case "route_changed":
                self._route_decision = event.route_changed.route_decision
            case "completed":
                self._completed = event.completed
            case "reasoning_finished":
                self._reasoning_finished = event.reasoning_finished
            case "run_paused":
                self._paused_run = event.run_paused
            case kind if event.step:
                self._steps.add(kind, event)
            case kind:
                self._answer.add(kind, event)

    def message(self) -> messages_pb2.Message:
        """Returns the answer as far as it is known, also after the stream has failed."""
        message = messages_pb2.Message(role=messages_pb2.ROLE_ASSISTANT)
        message.content.extend(self._answer.build_parts())
        if self._paused_run is not None:
            message.content.add(paused_run=self._paused_run)
        return message

    def response(self) -> completion_pb2.CompleteResponse:
        """Returns the whole answer. Raises IncompleteStream before `completed`."""
        if self._started is None or self._completed is None:
            raise IncompleteStream("a stream without `started` or without `completed` is not a whole answer")
        completed, decision = self._completed, self._route_decision
        if decision is None and self._started.HasField("route_decision"):
            decision = self._started.route_decision
        return completion_pb2.CompleteResponse(
            response_id=self._started.response_id,
            trace_id=self._started.trace_id,
            route_decision=decision,
            model=completed.model,
            message=self.message(),
            steps=self._steps.steps,
            reasoning_finished=self._reasoning_finished,
            finish_reason=completed.finish_reason,
            provider_finish_reason=completed.provider_finish_reason,
            usage=completed.usage if completed.HasField("usage") else None,
            model_calls=completed.model_calls,
            cost=completed.cost if completed.HasField("cost") else None,
            timings=completed.timings if completed.HasField("timings") else None,
            attempts=completed.attempts,
            effective_settings=self._settings,
            plans=self._tasks.plans,
            tasks=self._tasks.tasks,
        )


class _Tasks:
    """The plans, and the attempts at tasks that have ended. The events of different attempts interleave."""

    def __init__(self) -> None:
        self.plans: list[orchestration_pb2.PlanCreated] = []
        self.tasks: list[orchestration_pb2.Task] = []
        self._steps: dict[int, _Steps] = {}
        self._ends: dict[int, agent_pb2.ReasoningFinished] = {}

    def add(self, kind: str | None, event: events_pb2.StreamCompleteResponse) -> None:
        match kind:
            case "plan_created":
                self.plans.append(event.plan_created)
            case "reasoning_finished":
                self._ends[event.task] = event.reasoning_finished
            case "task_finished":
                self.tasks.append(self._build_task(event))
            case _:
                self._steps.setdefault(event.task, _Steps()).add(kind, event)

    def _build_task(self, event: events_pb2.StreamCompleteResponse) -> orchestration_pb2.Task:
        task = orchestration_pb2.Task()
        task.CopyFrom(event.task_finished.task)
        if (steps := self._steps.get(event.task)) is not None:
            task.steps.extend(steps.steps)
        if (end := self._ends.get(event.task)) is not None:
            task.reasoning_finished.CopyFrom(end)
        return task


class _Steps:
    """The steps of the agent that have ended."""

    def __init__(self) -> None:
        self.steps: list[agent_pb2.Step] = []
        self._step = agent_pb2.Step()
        self._planned_ids: list[str] = []
        self._executions: dict[str, agent_pb2.ToolExecution] = {}

    def add(self, kind: str | None, event: events_pb2.StreamCompleteResponse) -> None:
        match kind:
            case "step_started":
                self._step = agent_pb2.Step(number=event.step)
                self._planned_ids, self._executions = [], {}
            case "step_planned":
                plan = event.step_planned
                self._step.thought, self._step.next_action = plan.thought, plan.next_action
                self._planned_ids = [call.call_id for call in plan.tool_calls]
            case "tool_finished":
                execution = event.tool_finished.execution
                self._executions[execution.call_id] = execution
            case "step_finished":
                self._end(event.step_finished)

    def _end(self, finished: events_pb2.StepFinished) -> None:
        executions = (self._executions.get(call_id) for call_id in self._planned_ids)
        self._step.tool_executions.extend(execution for execution in executions if execution is not None)
        self._step.outcome = finished.outcome
        if finished.HasField("usage"):
            self._step.usage.CopyFrom(finished.usage)
        self.steps.append(self._step)


class _Answer:
    """The parts of the answer, in the order in which they began."""

    def __init__(self) -> None:
        self._parts: list[_OpenPart] = []
        self._calls: dict[str, _OpenPart] = {}

    def add(self, kind: str | None, event: events_pb2.StreamCompleteResponse) -> None:
        match kind:
            case "content_delta":
                self._add_content(event.content_delta)
            case "reasoning_delta":
                self._add_reasoning(event.reasoning_delta)
            case "tool_call_delta":
                self._add_tool_call(event.tool_call_delta)

    def build_parts(self) -> list[messages_pb2.Part]:
        return [part.build() for part in self._parts]

    def _add_content(self, delta: events_pb2.ContentDelta) -> None:
        if delta.text:
            self._continue_or_begin("refusal" if delta.refusal else "text").append(delta.text, delta.signature)
        elif delta.signature:
            texts = [part for part in self._parts if part.kind == "text"]
            (texts[-1] if texts else self._begin("text")).signature = delta.signature

    def _add_reasoning(self, delta: events_pb2.ReasoningDelta) -> None:
        if delta.redacted:
            part = self._begin("redacted")
            part.redacted, part.signature = delta.redacted, delta.signature
        else:
            self._continue_or_begin("reasoning").append(delta.text, delta.signature)

    def _add_tool_call(self, delta: events_pb2.ToolCallDelta) -> None:
        part = self._calls.get(delta.call_id)
        if part is None:
            part = self._calls[delta.call_id] = self._begin("tool_call")
        part.append(delta.arguments, delta.signature)
        part.call_id, part.name = delta.call_id, part.name or delta.name

    def _continue_or_begin(self, kind: str) -> _OpenPart:
        """Returns the last part if it has this kind and no signature yet; otherwise begins a new part."""
        last = self._parts[-1] if self._parts else None
        return last if last and last.kind == kind and not last.signature else self._begin(kind)

    def _begin(self, kind: str) -> _OpenPart:
        part = _OpenPart(kind)
        self._parts.append(part)
        return part


@dataclass(slots=True)
class _OpenPart:
    """A part of the answer, as far as it is known."""

    kind: str
    texts: list[str] = field(default_factory=list)
    signature: str = ""
    redacted: bytes = b""
    call_id: str = ""
    name: str = ""

    def append(self, text: str, signature: str) -> None:
        self.texts.append(text)
        self.signature = signature or self.signature

    def build(self) -> messages_pb2.Part:
        text = "".join(self.texts)
        match self.kind:
            case "text":
                return messages_pb2.Part(text=text, signature=self.signature)
            case "refusal":
                return messages_pb2.Part(refusal=text, signature=self.signature)
            case "reasoning":
                return messages_pb2.Part(reasoning=messages_pb2.Reasoning(text=text), signature=self.signature)
            case "redacted":
                reasoning = messages_pb2.Reasoning(redacted=self.redacted)
                return messages_pb2.Part(reasoning=reasoning, signature=self.signature)
        call = messages_pb2.ToolCall(id=self.call_id, name=self.name, arguments=text)
        return messages_pb2.Part(tool_call=call, signature=self.signature)
