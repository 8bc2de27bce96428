"""The order of the events of an agent's stream as a grammar, which checks each event against those before it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, messages_pb2, usage_pb2
from tests.support.sequences import expected_sequences

_DELTAS = frozenset({"content_delta", "reasoning_delta", "tool_call_delta"})
_IN_STEPS = frozenset({"step_planned", "tool_started", "tool_finished"})
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def check_grammar(
    events: Sequence[events_pb2.StreamCompleteResponse],
    *,
    ended_well: bool,
    before: Sequence[events_pb2.StreamCompleteResponse] = (),
) -> None:
    """Checks the events of a run that includes its model calls; a run that was cut short has the first of them.

    `before` are the events of the request whose paused run these go on with.
    """
    kinds = [event.WhichOneof("kind") for event in events]
    elapsed = [event.elapsed_ms for event in events]
    assert None not in kinds
    assert [event.sequence for event in events] == expected_sequences(kinds)
    assert all(event.started.response_id for event in events[:1])
    assert elapsed == sorted(elapsed)
    assert [index for index, kind in enumerate(kinds) if kind == "started"] == ([0] if events else [])
    assert [index for index, kind in enumerate(kinds) if kind == "completed"] == (
        [len(kinds) - 1] if ended_well else []
    )
    grammar = Grammar()
    if before:
        grammar.go_on(before)
    for event in events:
        grammar.check(event)
    if ended_well:
        grammar.check_end(events[-1].completed)


@dataclass
class Grammar:
    """Receives the events of one run, and asserts that each may follow the events before it."""

    step: int = 0
    """The number of the step in progress; 0 while there is none."""
    steps: int = 0
    call: int = 0
    open_call: events_pb2.ModelCallStarted | None = None
    pending_switch: events_pb2.AttemptSwitched | None = None
    """The announced attempt, which must begin next."""
    plan: events_pb2.StepPlanned | None = None
    tools: dict[str, bool] = field(default_factory=dict)
    """The tool calls of the step that have started, and whether each has ended."""
    tool_calls: int = 0
    ids: set[str] = field(default_factory=set)
    """The ids of all tool calls planned so far."""
    purposes: list[int] = field(default_factory=list)
    """The purposes of the model calls of the step."""
    finish: agent_pb2.ReasoningFinished | None = None
    tokens_by_call: dict[int, int] = field(default_factory=dict)
    """The total tokens of each model call that ended well."""
    failed_calls: set[int] = field(default_factory=set)
    """The calls that had a failed attempt, whose tokens are not among the events."""
    step_calls: list[int] = field(default_factory=list)
    finish_before: agent_pb2.ReasoningFinished = field(default_factory=agent_pb2.ReasoningFinished)
    """The end of the request before, whose paused run this one goes on with."""
    is_resumed: bool = False
    """Whether the step in progress was planned in the request before."""
    asked: list[str] = field(default_factory=list)
    """The ids of the tool calls that the caller is to make or to approve."""
    pause: messages_pb2.PausedRun | None = None

    def go_on(self, before: Sequence[events_pb2.StreamCompleteResponse]) -> None:
        """Takes up a run that paused with these events: it begins with the step that paused."""
        (self.finish_before,) = [event.reasoning_finished for event in before if event.HasField("reasoning_finished")]
        self.steps, self.is_resumed = self.finish_before.step_count - 1, True

    def check(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Checks the next event."""
        kind = event.WhichOneof("kind") or ""
        if kind == "step_started":
            self._check_step_started(event)
        if self.pending_switch is not None:
            assert kind in {"model_call_started", "heartbeat"}
        assert event.step == self.step
        assert event.call == self.call + (kind == "model_call_started" and self.pending_switch is None)
        if kind in _IN_STEPS:
            assert self.step
            assert self.open_call is None
        if kind == "tool_call_delta":
            assert self.finish is not None
            assert self.finish.reason == agent_pb2.REASONING_END_PAUSED
        elif kind in _DELTAS:
            assert self.open_call is not None
        if self.pause is not None:
            assert kind in {"completed", "heartbeat"}
        if kind != "step_started":
            getattr(self, f"_check_{kind}", lambda _: None)(event)

    def check_end(self, completed: events_pb2.Completed) -> None:
        """Checks the totals of a run that ended well."""
        usage, calls = completed.usage, completed.model_calls
        assert self.finish is not None
        assert self.step == 0
        assert self.open_call is None
        numbers = [call.call for call in calls]
        billed_for_nothing = set(range(1, self.call + 1)).difference(numbers)
        assert billed_for_nothing <= self.failed_calls
        assert numbers == [number for number in range(1, self.call + 1) if number not in billed_for_nothing]
        for name in _TOKENS:
            assert getattr(usage, name) == sum(getattr(call.usage, name) for call in calls)
        for call in calls:
            if call.call not in self.failed_calls:
                assert call.usage.total_tokens == self.tokens_by_call[call.call]
        estimated = any(call.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED for call in calls)
        assert usage.source == (usage_pb2.USAGE_SOURCE_ESTIMATED if estimated else usage_pb2.USAGE_SOURCE_PROVIDER)
        thinking = self.finish.usage.total_tokens - self.finish_before.usage.total_tokens
        if self.finish.reason == agent_pb2.REASONING_END_PAUSED:
            assert self.pause is not None
            assert completed.finish_reason == completion_pb2.FINISH_REASON_TOOL_CALLS
            assert thinking == usage.total_tokens
        else:
            assert calls[-1].purpose == usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS
            assert thinking == usage.total_tokens - calls[-1].usage.total_tokens
        if completed.HasField("cost"):
            assert completed.cost.total_nano_usd == sum(item.nano_usd for item in completed.cost.items)
            thinking_cost = self.finish.cost.total_nano_usd - self.finish_before.cost.total_nano_usd
            assert thinking_cost <= completed.cost.total_nano_usd

    def _check_model_call_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        started = event.model_call_started
        assert self.open_call is None
        if self.pending_switch is not None:
            assert (started.attempt, started.model) == (self.pending_switch.next_attempt, self.pending_switch.to_model)
        else:
            assert started.attempt == 1
            self.call += 1
            self.purposes.append(started.purpose)
            self.step_calls.append(self.call)
        if self.step:
            step, repair = usage_pb2.MODEL_CALL_PURPOSE_STEP, usage_pb2.MODEL_CALL_PURPOSE_REPAIR
            assert self.purposes in ([step], [step, repair])
            assert self.plan is None
        else:
            assert self.finish is not None
            assert self.purposes == [usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS]
        self.open_call, self.pending_switch = started, None

    def _check_model_call_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        done = event.model_call_finished
        self._check_call_end(done.purpose, done.model, done.attempt)
        self.tokens_by_call[self.call] = done.usage.total_tokens

    def _check_model_call_failed(self, event: events_pb2.StreamCompleteResponse) -> None:
        failed = event.model_call_failed
        assert self.step
        self._check_call_end(failed.purpose, failed.model, failed.attempt)
        self.failed_calls.add(self.call)

    def _check_attempt_switched(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.open_call is not None
        assert event.attempt_switched.next_attempt == self.open_call.attempt + 1
        assert event.attempt_switched.from_model == self.open_call.model
        self.open_call, self.pending_switch = None, event.attempt_switched
        self.failed_calls.add(self.call)

    def _check_call_end(self, purpose: int, model: str, attempt: int) -> None:
        assert self.open_call is not None
        assert (purpose, model, attempt) == (self.open_call.purpose, self.open_call.model, self.open_call.attempt)
        self.open_call = None

    def _check_step_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.step == 0
        assert self.finish is None
        assert self.steps < event.step_started.max_steps
        self.steps += 1
        self.step, self.plan = self.steps, None
        self.tools, self.purposes, self.step_calls = {}, [], []

    def _check_step_planned(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.plan is None
        self.plan = event.step_planned
        ids = {call.call_id for call in self.plan.tool_calls}
        assert len(ids) == len(self.plan.tool_calls)
        assert ids.isdisjoint(self.ids)
        self.ids |= ids
        uses = self.plan.next_action == agent_pb2.NEXT_ACTION_USE_TOOLS
        assert uses == bool(self.plan.tool_calls)

    def _check_tool_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.plan is not None
        started = event.tool_started
        planned = [(call.call_id, call.name) for call in self.plan.tool_calls]
        # Tools start in the order of the plan, concurrent or not; the caller's own do not start here.
        names = [*self.tools, started.call_id]
        assert (started.call_id, started.name) in planned
        assert names == [call_id for call_id, _ in planned if call_id in names]
        assert self.plan.concurrent or all(self.tools.values())
        self.tools[started.call_id] = False
        self.tool_calls += 1

    def _check_tool_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.tools[event.tool_finished.execution.call_id] is False
        self.tools[event.tool_finished.execution.call_id] = True

    def _check_step_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        outcome = event.step_finished.outcome
        assert self.step
        assert self.open_call is None
        assert all(self.tools.values())
        if outcome == agent_pb2.STEP_OUTCOME_DONE:
            assert self.plan is not None
            assert self.is_resumed or len(self.tools) == len(self.plan.tool_calls)
        if self.plan is not None and outcome != agent_pb2.STEP_OUTCOME_PAUSED and not self.is_resumed:
            assert list(self.tools) == [call.call_id for call in self.plan.tool_calls][: len(self.tools)]
        if outcome == agent_pb2.STEP_OUTCOME_INVALID_PLAN:
            assert self.plan is None
        if self.is_resumed:
            assert not self.step_calls
            assert not event.step_finished.HasField("usage")
        elif not self.failed_calls.intersection(self.step_calls):
            assert event.step_finished.usage.total_tokens == sum(self.tokens_by_call[call] for call in self.step_calls)
        self.step, self.purposes, self.is_resumed = 0, [], False

    def _check_reasoning_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.finish is None
        assert self.step == 0
        self.finish = event.reasoning_finished
        assert self.finish.step_count == self.steps
        if not self.finish_before.step_count and self.finish.reason != agent_pb2.REASONING_END_PAUSED:
            assert self.finish.tool_call_count == self.tool_calls
        last = agent_pb2.NEXT_ACTION_UNSPECIFIED if self.plan is None else self.plan.next_action
        if self.finish.reason == agent_pb2.REASONING_END_FINISHED:
            assert last == agent_pb2.NEXT_ACTION_FINISH
        self.step_calls = []

    def _check_content_delta(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.finish is not None
        assert event.step == 0

    def _check_tool_call_delta(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.plan is not None
        delta = event.tool_call_delta
        assert (delta.call_id, delta.name) in [(call.call_id, call.name) for call in self.plan.tool_calls]
        assert delta.index == len(self.asked)
        self.asked.append(delta.call_id)

    def _check_run_paused(self, event: events_pb2.StreamCompleteResponse) -> None:
        self.pause = event.run_paused
        assert self.asked
        assert self.pause.state
        assert set(self.pause.approval_call_ids) <= set(self.asked)
