"""What a client may rely on in the events of an orchestrated answer, as `events.proto` writes it, event by event."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, orchestration_pb2, usage_pb2
from tests.support.sequences import expected_sequences

Event = events_pb2.StreamCompleteResponse
_OUTSIDE = frozenset(
    {"started", "plan_created", "route_changed", "content_delta", "tool_call_delta", "run_paused", "completed"}
)
"""The events that never belong to a task."""
_IN_STEPS = frozenset({"step_planned", "tool_started", "tool_finished", "step_finished"})
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def check_task_grammar(
    events: Sequence[Event], *, ended_well: bool, before: "TaskGrammar | None" = None
) -> "TaskGrammar":
    """Checks the events of a run that includes everything; a run that was cut short has the first of them.

    `before` has checked the request whose paused run these events go on with.
    """
    kinds = [event.WhichOneof("kind") or "" for event in events]
    elapsed = [event.elapsed_ms for event in events]
    assert [event.sequence for event in events] == expected_sequences(kinds)
    assert elapsed == sorted(elapsed)
    assert [index for index, kind in enumerate(kinds) if kind == "started"] == ([0] if events else [])
    ends = [index for index, kind in enumerate(kinds) if kind == "completed"]
    assert ends == ([len(kinds) - 1] if ended_well else [])
    grammar = TaskGrammar()
    if before is not None:
        grammar.go_on(before)
    for event in events:
        grammar.check(event, event.WhichOneof("kind") or "")
    if ended_well:
        grammar.check_end(events[-1].completed)
    return grammar


@dataclass
class OpenAttempt:
    """An attempt at a task that has begun, and what is in progress in it."""

    id: str
    has_ended: bool = False
    call: int = 0
    """The model call in progress; 0 while there is none."""
    step: int = 0
    """The step in progress; 0 while there is none."""
    steps: int = 0
    tools: set[str] = field(default_factory=set)
    """The tool calls in progress."""
    tool_calls: int = 0
    end: agent_pb2.ReasoningFinished | None = None
    is_resumed: bool = False
    """Whether it was suspended before; calls of the caller's own tools are not among its events."""
    usage: int = 0
    """The tokens that it had used when it was suspended."""

    def count_tool_calls(self) -> int:
        """Returns the tool calls of the attempt, with the waiting ones."""
        return self.tool_calls if self.end is None else self.end.tool_call_count


@dataclass
class TaskGrammar:
    """Receives the events of one run, and asserts that each may follow the events before it."""

    plans: list[orchestration_pb2.PlanCreated] = field(default_factory=list)
    attempts: dict[int, OpenAttempt] = field(default_factory=dict)
    tasks: list[orchestration_pb2.Task] = field(default_factory=list)
    """The attempts that have ended."""
    calls: int = 0
    """The highest number of a model call so far."""
    call: int = 0
    """The model call in progress outside of tasks."""
    ids: set[str] = field(default_factory=set)
    """The ids of all tool calls."""
    finish: agent_pb2.ReasoningFinished | None = None
    has_changed: bool = False
    asked: list[str] = field(default_factory=list)
    """The ids of the tool calls that the caller is to make or to approve."""
    has_paused: bool = False
    before: "TaskGrammar | None" = None
    """The request whose paused run this one goes on with."""
    suspended: dict[int, OpenAttempt] = field(default_factory=dict)
    """The attempts that were suspended before this request."""
    ended_before: list[orchestration_pb2.Task] = field(default_factory=list)
    steps_before: int = 0
    """The steps of the attempts that ended before this request."""
    tool_calls_before: int = 0

    def go_on(self, before: "TaskGrammar") -> None:
        """Takes up a run that paused."""
        assert before.has_paused
        self.before, self.ids = before, set(before.ids)
        waiting = {task.number: task for task in before.tasks if _is_suspended(task)}
        self.suspended = {
            **before.suspended,
            **{
                number: OpenAttempt(
                    task.id,
                    steps=before.attempts[number].steps,
                    tool_calls=before.attempts[number].count_tool_calls(),
                    is_resumed=True,
                    usage=task.usage.total_tokens,
                )
                for number, task in waiting.items()
            },
        }
        self.ended_before = [*before.ended_before, *(task for task in before.tasks if not _is_suspended(task))]
        ended = [attempt for number, attempt in before.attempts.items() if number not in waiting]
        self.steps_before = before.steps_before + sum(attempt.steps for attempt in ended)
        self.tool_calls_before = before.tool_calls_before + sum(attempt.count_tool_calls() for attempt in ended)

    def list_suspended(self) -> dict[int, OpenAttempt]:
        """Returns the attempts that wait for the caller after the events so far."""
        waiting = {task.number for task in self.tasks if _is_suspended(task)}
        return self.suspended | {number: self.attempts[number] for number in waiting}

    def check(self, event: Event, kind: str) -> None:
        """Checks the next event."""
        if kind == "heartbeat":
            return
        if kind == "model_call_started" and event.model_call_started.attempt == 1:
            assert event.call == self.calls + 1
            self.calls = event.call
        if kind == "tool_started":
            assert event.tool_started.call_id not in self.ids
            self.ids.add(event.tool_started.call_id)
        if event.task:
            assert kind not in _OUTSIDE
            assert self.plans
            assert self.finish is None
            self._check_task(event, kind)
        else:
            self._check_outside(event, kind)

    def check_end(self, completed: events_pb2.Completed) -> None:
        """Checks the totals of a run that ended well."""
        assert self.finish is not None
        assert [call.call for call in completed.model_calls] == sorted(call.call for call in completed.model_calls)
        assert [(each.call, each.number) for each in completed.attempts] == sorted(
            (each.call, each.number) for each in completed.attempts
        )
        for name in _TOKENS:
            assert getattr(completed.usage, name) == sum(getattr(call.usage, name) for call in completed.model_calls)
        by_task = Counter[int]()
        for call in completed.model_calls:
            by_task[call.task] += call.usage.total_tokens
        for task in self.tasks:
            used_before = self.attempts[task.number].usage if task.number in self.attempts else 0
            assert task.usage.total_tokens == by_task[task.number] + used_before
        assert self.has_paused == (self.finish.reason == agent_pb2.REASONING_END_PAUSED)
        assert self.has_paused == bool(self.asked)
        if self.has_paused:
            assert completed.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
        if self.has_changed:
            return
        thinking = completed.usage.total_tokens
        if not self.has_paused:
            assert completed.model_calls[-1].purpose == usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS
            thinking -= completed.model_calls[-1].usage.total_tokens
        if self.before is not None and self.before.finish is not None:
            thinking += self.before.finish.usage.total_tokens
        assert self.finish.usage.total_tokens == thinking
        self._check_outcomes()

    def _check_outcomes(self) -> None:
        """Checks that each task of the plans has one last end, except those that a later plan replaced."""
        planned = {task.id: task for plan in self.plans for task in plan.tasks}
        ended: dict[str, list[orchestration_pb2.Task]] = {}
        for task in (*self.ended_before, *self.tasks):
            if not (self.has_paused and _is_suspended(task)):
                ended.setdefault(task.id, []).append(task)
        replaced = {task.id for plan in self.plans[:-1] for task in plan.tasks}
        assert ended.keys() <= planned.keys()
        assert self.has_paused or planned.keys() - replaced <= ended.keys()
        for attempts in ended.values():
            assert [task.attempt for task in attempts] in ([0], [1], [1, 2])
            assert all(task.outcome == orchestration_pb2.TASK_OUTCOME_FAILED for task in attempts[:-1])
        results = {id_ for id_, attempts in ended.items() if _has_result(attempts[-1])}
        for id_, attempts in ended.items():
            needs = set(planned[id_].depends_on)
            if attempts[-1].outcome == orchestration_pb2.TASK_OUTCOME_SKIPPED:
                assert not needs <= results
            elif attempts[-1].attempt:
                assert needs <= results

    def _check_outside(self, event: Event, kind: str) -> None:
        match kind:
            case "plan_created":
                self._check_plan(event.plan_created)
            case "route_changed":
                assert not self.plans
                self.has_changed = True
            case "model_call_started":
                assert self.call == 0 or event.model_call_started.attempt > 1
                self.call = event.call
                purpose = event.model_call_started.purpose
                if not self.has_changed and self.finish is None:
                    assert purpose in {usage_pb2.MODEL_CALL_PURPOSE_PLAN, usage_pb2.MODEL_CALL_PURPOSE_REPAIR}
                    assert all(attempt.has_ended for attempt in self.attempts.values())
            case "model_call_finished" | "model_call_failed":
                assert event.call == self.call
                self.call = 0
            case "reasoning_finished":
                assert self.finish is None
                assert all(attempt.has_ended for attempt in self.attempts.values())
                self.finish = event.reasoning_finished
                if not self.has_changed:
                    attempts = [*self.attempts.values(), *self.suspended.values()]
                    assert self.finish.step_count == self.steps_before + sum(each.steps for each in attempts)
                    calls = sum(each.count_tool_calls() for each in attempts)
                    assert self.finish.tool_call_count == self.tool_calls_before + calls
            case "content_delta":
                assert self.finish is not None
                assert self.finish.reason != agent_pb2.REASONING_END_PAUSED
            case "tool_call_delta":
                assert self.finish is not None
                assert self.finish.reason == agent_pb2.REASONING_END_PAUSED
                assert not self.has_paused
                assert event.tool_call_delta.index == len(self.asked)
                assert event.tool_call_delta.call_id not in {*self.asked, *self.ids}
                self.asked.append(event.tool_call_delta.call_id)
            case "run_paused":
                assert self.asked
                assert self.has_changed or self.list_suspended()
                assert set(event.run_paused.approval_call_ids) <= set(self.asked)
                self.has_paused = True
            case "reasoning_delta":
                assert self.finish is not None or (self.has_changed and event.step)
            case _:
                assert self.has_changed or kind in {"started", "completed", "attempt_switched"}

    def _name_unanswered(self) -> set[str]:
        """Returns the ids of the tasks that still wait for the caller."""
        return {attempt.id for attempt in self.suspended.values()}

    def _check_plan(self, plan: orchestration_pb2.PlanCreated) -> None:
        if self.before is not None and not self.plans:
            assert plan == self.before.plans[-1]
            self.plans = list(self.before.plans)
            return
        assert plan.revision == len(self.plans) + 1
        assert plan.tasks
        known = {task.id for earlier in self.plans for task in earlier.tasks}
        for task in plan.tasks:
            assert task.id not in known
            assert known.issuperset(task.depends_on)
            known.add(task.id)
        self.plans.append(plan)

    def _check_task(self, event: Event, kind: str) -> None:
        if kind == "task_started":
            self._begin(event)
            return
        if kind == "task_finished" and event.task not in self.attempts:
            task = event.task_finished.task
            assert task.attempt == 0
            assert task.outcome in {
                orchestration_pb2.TASK_OUTCOME_SKIPPED,
                orchestration_pb2.TASK_OUTCOME_STOPPED,
            }
            self._end(event, OpenAttempt(task.id))
            return
        attempt = self.attempts[event.task]
        assert not attempt.has_ended
        assert event.step == attempt.step or kind == "step_started"
        match kind:
            case "step_started":
                assert attempt.step == 0
                assert attempt.end is None
                attempt.steps += 1
                attempt.step = attempt.steps
                assert event.step == attempt.steps
            case "model_call_started":
                assert attempt.call == 0 or event.model_call_started.attempt > 1
                attempt.call = event.call
            case "model_call_finished" | "model_call_failed":
                assert event.call == attempt.call
                attempt.call = 0
            case "reasoning_finished":
                assert attempt.step == 0
                assert attempt.end is None
                attempt.end = event.reasoning_finished
                assert attempt.end.step_count == attempt.steps
                if not attempt.is_resumed and attempt.end.reason != agent_pb2.REASONING_END_PAUSED:
                    assert attempt.end.tool_call_count == attempt.tool_calls
            case "task_finished":
                self._end(event, attempt)
            case _ if kind in _IN_STEPS:
                self._check_in_step(event, kind, attempt)
            case _:
                assert kind in {"reasoning_delta", "attempt_switched"}

    def _check_in_step(self, event: Event, kind: str, attempt: OpenAttempt) -> None:
        assert attempt.step
        assert attempt.call == 0
        match kind:
            case "tool_started":
                attempt.tools.add(event.tool_started.call_id)
                attempt.tool_calls += 1
            case "tool_finished":
                attempt.tools.remove(event.tool_finished.execution.call_id)
            case "step_finished":
                assert not attempt.tools
                attempt.step = 0

    def _begin(self, event: Event) -> None:
        started = event.task_started
        assert event.task not in self.attempts
        all_ended = [*self.ended_before, *self.tasks]
        assert event.task not in {task.number for task in all_ended}
        planned = {task.id: task for plan in self.plans for task in plan.tasks}[started.id]
        ended = {task.id for task in all_ended if _has_result(task)}
        assert ended.issuperset(planned.depends_on)
        assert started.attempt == 1 + sum(task.id == started.id for task in all_ended)
        running = sum(not attempt.has_ended for attempt in self.attempts.values())
        assert running < self.plans[-1].max_parallel_tasks
        attempt = self.suspended.pop(event.task, None)
        if attempt is None:
            attempt = OpenAttempt(started.id)
            assert started.id not in self._name_unanswered()
        else:
            assert attempt.id == started.id
            attempt.steps -= 1  # the step that paused starts again
        self.attempts[event.task] = attempt

    def _end(self, event: Event, attempt: OpenAttempt) -> None:
        task = event.task_finished.task
        assert (task.number, task.id) == (event.task, attempt.id)
        assert (attempt.step, attempt.call, attempt.tools) == (0, 0, set())
        assert not task.steps
        assert not task.HasField("reasoning_finished")
        failed = task.outcome == orchestration_pb2.TASK_OUTCOME_FAILED
        stopped = task.outcome == orchestration_pb2.TASK_OUTCOME_STOPPED
        assert bool(task.failure) == failed
        assert bool(task.stop_reason) == stopped
        if task.outcome == orchestration_pb2.TASK_OUTCOME_DONE:
            assert attempt.end is not None
            assert attempt.end.reason == agent_pb2.REASONING_END_FINISHED
        if _is_suspended(task):
            assert attempt.end is not None
            assert attempt.end.reason == agent_pb2.REASONING_END_PAUSED
        attempt.has_ended = True
        self.tasks.append(task)


def _is_suspended(task: orchestration_pb2.Task) -> bool:
    return task.outcome == orchestration_pb2.TASK_OUTCOME_SUSPENDED


def _has_result(task: orchestration_pb2.Task) -> bool:
    return task.outcome == orchestration_pb2.TASK_OUTCOME_DONE or bool(task.result)
