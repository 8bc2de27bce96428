"""The order of a stream's events as a grammar: what a caller of the agent may rely on, checked event by event."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reasoning_grpc.v1 import agent_pb2, events_pb2, usage_pb2
from tests.support.sequences import expected_sequences

_PIECES = frozenset({"content_delta", "reasoning_delta", "tool_call_delta"})
_IN_STEPS = frozenset({"step_planned", "tool_started", "tool_finished"})
_TOKENS = ("input_tokens", "output_tokens", "total_tokens")


def check_grammar(events: Sequence[events_pb2.StreamCompleteResponse], *, ended_well: bool) -> None:
    """What holds for the events of every run that shows its model calls; one that was cut short is a beginning."""
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
    for event in events:
        grammar.take(event)
    if ended_well:
        grammar.check_end(events[-1].completed)


@dataclass
class Grammar:
    """Takes the events of one run, and asserts that each may come where it does."""

    step: int = 0
    """The one under way; 0: none is."""
    steps: int = 0
    call: int = 0
    open_call: events_pb2.ModelCallStarted | None = None
    again: events_pb2.AttemptSwitched | None = None
    """The attempt that must begin next."""
    plan: events_pb2.StepPlanned | None = None
    tools: dict[str, bool] = field(default_factory=dict)
    """Those of the step that have begun, and whether they have ended."""
    tool_calls: int = 0
    ids: set[str] = field(default_factory=set)
    """Of all tool calls planned so far."""
    purposes: list[int] = field(default_factory=list)
    """Of the model calls of the step."""
    finished: agent_pb2.ReasoningFinished | None = None
    used: dict[int, int] = field(default_factory=dict)
    """Total tokens of the model calls that ended well."""
    failed_calls: set[int] = field(default_factory=set)
    """Calls of which an attempt failed: what that used is not among the events."""
    step_calls: list[int] = field(default_factory=list)

    def take(self, event: events_pb2.StreamCompleteResponse) -> None:
        """The next event."""
        kind = event.WhichOneof("kind") or ""
        if kind == "step_started":
            self._step_started(event)
        if self.again is not None:
            assert kind in {"model_call_started", "heartbeat"}
        assert event.step == self.step
        assert event.call == self.call + (kind == "model_call_started" and self.again is None)
        if kind in _IN_STEPS:
            assert self.step
            assert self.open_call is None
        if kind in _PIECES:
            assert self.open_call is not None
        if kind != "step_started":
            getattr(self, f"_{kind}", lambda _: None)(event)

    def check_end(self, completed: events_pb2.Completed) -> None:
        """What holds when all went well."""
        usage, calls = completed.usage, completed.model_calls
        assert self.finished is not None
        assert self.step == 0
        assert self.open_call is None
        assert [call.call for call in calls] == list(range(1, self.call + 1))
        for name in _TOKENS:
            assert getattr(usage, name) == sum(getattr(call.usage, name) for call in calls)
        for call in calls:
            if call.call not in self.failed_calls:
                assert call.usage.total_tokens == self.used[call.call]
        estimated = any(call.usage.source == usage_pb2.USAGE_SOURCE_ESTIMATED for call in calls)
        assert usage.source == (usage_pb2.USAGE_SOURCE_ESTIMATED if estimated else usage_pb2.USAGE_SOURCE_PROVIDER)
        assert calls[-1].purpose == usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS
        assert self.finished.usage.total_tokens == usage.total_tokens - calls[-1].usage.total_tokens
        if completed.HasField("cost"):
            assert completed.cost.total_nano_usd == sum(item.nano_usd for item in completed.cost.items)
            assert self.finished.cost.total_nano_usd <= completed.cost.total_nano_usd

    def _model_call_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        started = event.model_call_started
        assert self.open_call is None
        if self.again is not None:
            assert (started.attempt, started.model) == (self.again.next_attempt, self.again.to_model)
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
            assert self.finished is not None
            assert self.purposes == [usage_pb2.MODEL_CALL_PURPOSE_SYNTHESIS]
        self.open_call, self.again = started, None

    def _model_call_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        done = event.model_call_finished
        self._close_call(done.purpose, done.model, done.attempt)
        self.used[self.call] = done.usage.total_tokens

    def _model_call_failed(self, event: events_pb2.StreamCompleteResponse) -> None:
        failed = event.model_call_failed
        assert self.step
        self._close_call(failed.purpose, failed.model, failed.attempt)
        self.failed_calls.add(self.call)

    def _attempt_switched(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.open_call is not None
        assert event.attempt_switched.next_attempt == self.open_call.attempt + 1
        assert event.attempt_switched.from_model == self.open_call.model
        self.open_call, self.again = None, event.attempt_switched
        self.failed_calls.add(self.call)

    def _close_call(self, purpose: int, model: str, attempt: int) -> None:
        assert self.open_call is not None
        assert (purpose, model, attempt) == (self.open_call.purpose, self.open_call.model, self.open_call.attempt)
        self.open_call = None

    def _step_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.step == 0
        assert self.finished is None
        assert self.steps < event.step_started.max_steps
        self.steps += 1
        self.step, self.plan = self.steps, None
        self.tools, self.purposes, self.step_calls = {}, [], []

    def _step_planned(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.plan is None
        self.plan = event.step_planned
        ids = {call.call_id for call in self.plan.tool_calls}
        assert len(ids) == len(self.plan.tool_calls)
        assert ids.isdisjoint(self.ids)
        self.ids |= ids
        uses = self.plan.next_action == agent_pb2.NEXT_ACTION_USE_TOOLS
        assert uses == bool(self.plan.tool_calls)

    def _tool_started(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.plan is not None
        started = event.tool_started
        planned = [(call.call_id, call.name) for call in self.plan.tool_calls]
        # In the order in which they were planned, side by side or not.
        assert (started.call_id, started.name) == planned[len(self.tools)]
        assert self.plan.concurrent or all(self.tools.values())
        self.tools[started.call_id] = False
        self.tool_calls += 1

    def _tool_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.tools[event.tool_finished.execution.call_id] is False
        self.tools[event.tool_finished.execution.call_id] = True

    def _step_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        outcome = event.step_finished.outcome
        assert self.step
        assert self.open_call is None
        assert all(self.tools.values())
        if outcome == agent_pb2.STEP_OUTCOME_DONE:
            assert self.plan is not None
            assert len(self.tools) == len(self.plan.tool_calls)
        if outcome == agent_pb2.STEP_OUTCOME_INVALID_PLAN:
            assert self.plan is None
        if not self.failed_calls.intersection(self.step_calls):
            assert event.step_finished.usage.total_tokens == sum(self.used[call] for call in self.step_calls)
        self.step, self.purposes = 0, []

    def _reasoning_finished(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.finished is None
        assert self.step == 0
        self.finished = event.reasoning_finished
        assert (self.finished.step_count, self.finished.tool_call_count) == (self.steps, self.tool_calls)
        last = agent_pb2.NEXT_ACTION_UNSPECIFIED if self.plan is None else self.plan.next_action
        if self.finished.reason == agent_pb2.REASONING_END_FINISHED:
            assert last == agent_pb2.NEXT_ACTION_FINISH
        self.step_calls = []

    def _content_delta(self, event: events_pb2.StreamCompleteResponse) -> None:
        assert self.finished is not None
        assert event.step == 0

    _tool_call_delta = _content_delta
