"""`Ledger`: the tokens, cost and time of one request, recorded from its events as they pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct

from reasoning_grpc.domain import (
    Attempt,
    Cost,
    FinishReason,
    ModelCallPurpose,
    ModelCallUsage,
    Pace,
    Timings,
    Usage,
    UsageSource,
    count_bytes,
)
from reasoning_grpc.domain.errors import Progress, ReasoningError, UpstreamError
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    Completed,
    ContentDelta,
    Event,
    Heartbeat,
    InternalDelta,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ReasoningFinished,
    RunPaused,
    StepFinished,
    StepStarted,
    StreamEvent,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)
from reasoning_grpc.engine.account import Account
from reasoning_grpc.engine.agent_record import AgentRecord
from reasoning_grpc.engine.pace import DeltaGaps
from reasoning_grpc.llm import find_failed_usage, find_interrupted_usage

if TYPE_CHECKING:
    from reasoning_grpc.engine.task_ledger import TaskLedgers

_NO_USAGE: Final = Usage(0, 0, 0, UsageSource.PROVIDER)
"""The tokens of a request that called no model."""


@dataclass(slots=True)
class _OpenAttempt:
    """The attempt in progress."""

    call: int
    event: ModelCallStarted
    """The event with which it began."""
    start_offset_seconds: float
    """When the attempt begins, from the arrival of the request; in the future while a retry waits for its delay."""
    output_bytes: int = 0
    has_output: bool = False

    def record_output(self, text: str) -> None:
        """Records a delta, for an estimate of the tokens if the provider counts none."""
        self.has_output = True
        self.output_bytes += count_bytes(text)


class Entry(Struct, frozen=True):
    """An event, with the model call and the step that it belongs to."""

    event: Event
    call: int
    step: int
    """0 outside of steps."""
    elapsed_seconds: float
    """When the event happened, from the arrival of the request."""
    task: int = 0
    """Number of the task that the event belongs to; 0 outside of tasks."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The ledger of one request. Its times are seconds from the arrival of the request, except `arrival_time`.

    It is a dataclass because a struct of msgspec takes three times as long to set an attribute.
    """

    response_id: str
    arrival_time: float
    """When the request arrived, in seconds of `clock`."""
    clock: Callable[[], float]
    """The event loop's clock."""
    queue_seconds: float = 0.0
    """How long the request waited before its work began."""
    account: Account = field(default_factory=Account)
    calls: int = 0
    """The number of model calls begun, which is also the number of the call in progress."""
    step: int = 0
    """The step in progress; 0 when there is none."""
    attempts: list[Attempt] = field(default_factory=list)
    """The attempts that have ended."""
    events: int = 0
    """The number of events handed to the client, without heartbeats."""
    has_sent_output: bool = False
    content_characters: int = 0
    _routed_seconds: float = 0.0
    agent: AgentRecord | None = None
    """None until the agent does something."""
    _first_token_seconds: float | None = None
    _gaps: DeltaGaps | None = None
    """None until the second delta of the answer."""
    _has_reasoning: bool = False
    """Whether a delta of the answer was the model's own reasoning."""
    _delay_seconds: float = 0.0
    """The delay before the next attempt begins."""
    _upstream_seconds: float = 0.0
    _client_seconds: float = 0.0
    _handed_over: float = 0.0
    """When the client got the last event."""
    _taken_back: float = 0.0
    """When the client had read the last event."""
    _open: _OpenAttempt | None = None
    is_reached: bool = False
    """Whether an upstream was reached, so that the request may have a cost."""
    tasks: "TaskLedgers | None" = None
    """The ledgers of tasks. None when the request has no tasks."""
    _waits: int = 0
    """The model calls and tools of tasks that are in progress; their times overlap."""
    _waits_since: float = 0.0
    """When the first of them began, in seconds from the arrival of the request."""
    _last_call: ModelCallFinished | None = None

    def elapsed_seconds(self) -> float:
        """Returns the time since the request arrived."""
        return self.clock() - self.arrival_time

    def record_route(self) -> None:
        """Records that the route is decided now."""
        self._routed_seconds = self.elapsed_seconds()

    def record(self, event: Event) -> Entry:
        """Records one event at the time when it happens."""
        elapsed, step = self.clock() - self.arrival_time, self.step
        record = self._RECORDS.get(type(event))
        if record is not None:
            record(self, event, elapsed)
        # The event that begins a step and the one that ends it belong to the step.
        return Entry(event, self.calls, self.step or step, elapsed)

    def has_effect(self) -> bool:
        """Returns whether a model call or a tool of the request did anything. A closed ledger knows."""
        return self.is_reached or self.has_sent_output or self.account.usage() is not None

    def purpose(self) -> ModelCallPurpose | None:
        """Returns the purpose of the model call in progress; None when there is none."""
        return None if self._open is None else self._open.event.purpose

    def build_completed(self) -> Completed:
        """Builds the last event. The model call that ended last is the answer, unless the run paused."""
        answer, usage, cost = self._last_call, self.account.usage(), self.account.cost()
        if answer is None:
            raise ValueError("no model call has ended")
        if usage is None:  # a run that only ran tools before it paused again
            usage, cost = _NO_USAGE, Cost(())
        attempts, calls = self.attempts, self.account.model_calls()
        if self.tasks is not None:  # those of tasks were recorded in the order in which they ended
            attempts = sorted(attempts, key=lambda each: (each.call, each.number))
            calls = tuple(sorted(calls, key=lambda each: each.call))
        total = self.elapsed_seconds()
        overhead = total - self._upstream_seconds - self._client_seconds
        if self.agent is not None:
            overhead -= self.agent.tool_seconds
        return Completed(
            answer.finish_reason,
            answer.provider_finish_reason,
            answer.model,
            usage,
            calls,
            cost,
            Timings(self.queue_seconds, self._routed_seconds, self._first_token_seconds, total, max(0.0, overhead)),
            tuple(attempts),
        )

    def measure_pace(self) -> Pace | None:
        """Returns how the deltas of the answer followed each other; None when there was no second one."""
        if self._gaps is None or self._last_call is None:
            return None
        return self._gaps.measure(self._last_call.usage, shows_reasoning=self._has_reasoning)

    def hand_over(self, entry: Entry) -> StreamEvent:
        """Returns the next event for the client, with its number; from now on the client takes the time."""
        elapsed = entry.elapsed_seconds
        if elapsed < self._taken_back:  # it happened before the client had read the last event, and waited for that
            elapsed = self._taken_back
        self._handed_over = elapsed
        sequence = self.events
        self.events = sequence + 1
        return StreamEvent(sequence, elapsed, entry.call, entry.event, entry.step, entry.task)

    def take_back(self) -> None:
        """Records that the client has read the event that was handed over last."""
        elapsed = self.clock() - self.arrival_time
        self._taken_back = elapsed
        if not self._waits:
            self._client_seconds += elapsed - self._handed_over

    def record_waits(self, change: int, elapsed: float) -> None:
        """Records that so many more model calls and tools of tasks are in progress, or fewer."""
        if not change:
            return
        if not self._waits:
            self._waits_since = elapsed
        self._waits += change
        if not self._waits:
            self._upstream_seconds += elapsed - self._waits_since

    def build_heartbeat(self) -> StreamEvent:
        """Returns a heartbeat for the client, which repeats the number of the event before it."""
        return StreamEvent(self.events - 1, self.elapsed_seconds(), self.calls, Heartbeat(), self.step)

    def close(self, error: BaseException) -> Progress | None:
        """Closes the ledger of a request that this error ended, and returns its progress.

        Returns None when no upstream was reached.
        """
        failure = error if isinstance(error, ReasoningError) else None
        if self.tasks is not None:
            self.tasks.interrupt()
        elapsed = self.elapsed_seconds()
        if self._open is not None and self._open.start_offset_seconds <= elapsed:
            self._close_interrupted(self._open, failure, elapsed)
        if isinstance(failure, UpstreamError):
            self.is_reached = self.is_reached or failure.is_upstream_reached
        return self.read_progress()

    def read_progress(self) -> Progress | None:
        """Returns how far the request has come; None as long as no upstream was reached."""
        usage = self.account.usage()
        if not self.is_reached and usage is None:
            return None
        return Progress(
            response_id=self.response_id,
            usage=usage or Usage(0, 0, 0, UsageSource.PROVIDER),
            cost=self.account.cost(),
            model_call_count=self.calls,
            attempt_count=len(self.attempts),
            last_sequence=self.events - 1,
            content_characters=self.content_characters,
            has_sent_output=self.has_sent_output,
        )

    def _record_content(self, event: ContentDelta, elapsed: float) -> None:
        self.content_characters += len(event.text)
        self._record_sent(event.text, elapsed)

    def _record_reasoning(self, event: ReasoningDelta, elapsed: float) -> None:
        self._has_reasoning = self._has_reasoning or not self.step
        self._record_sent(event.text, elapsed)

    def _record_tool_call(self, event: ToolCallDelta, elapsed: float) -> None:
        self._record_sent(event.arguments, elapsed)

    def _record_sent(self, text: str, elapsed: float) -> None:
        self.has_sent_output = True
        if not self.step:  # reasoning within a step is no part of the answer
            if self._first_token_seconds is None:
                self._first_token_seconds = elapsed
            else:
                if self._gaps is None:
                    self._gaps = DeltaGaps(self._first_token_seconds)
                self._gaps.record(elapsed)
        if (attempt := self._open) is not None:
            attempt.record_output(text)

    def _record_internal(self, event: InternalDelta, _elapsed: float) -> None:
        if self._open is not None:
            self._open.record_output(event.text)

    def _record_call_started(self, event: ModelCallStarted, elapsed: float) -> None:
        if event.attempt == 1:
            self.calls += 1
        started = elapsed + self._delay_seconds
        self._delay_seconds = 0.0
        self._open = _OpenAttempt(self.calls, event, started)

    def _record_switched(self, event: AttemptSwitched, elapsed: float) -> None:
        self.is_reached = self.is_reached or event.is_upstream_reached
        if (attempt := self._open) is not None:
            # No other attempt follows one of which something was sent.
            self._record_billed(
                attempt, find_failed_usage(attempt.event, event, attempt.output_bytes, has_output=False)
            )
            self._upstream_seconds += self._close_attempt(attempt, elapsed, event.failure, event.http_status)
        self._upstream_seconds += event.delay_seconds
        self._delay_seconds = event.delay_seconds

    def _record_call_finished(self, event: ModelCallFinished, elapsed: float) -> None:
        attempt = self._open
        if attempt is None:
            raise ValueError("no model call is in progress")
        self._close_attempt(attempt, elapsed)
        self._upstream_seconds += event.upstream_seconds
        self._last_call = event
        self.account.record(ModelCallUsage(attempt.call, event.purpose, event.model, event.usage), attempt.event.prices)

    def _record_call_failed(self, event: ModelCallFailed, elapsed: float) -> None:
        """Ends the attempt in progress. An attempt that was still waiting for its delay does not count."""
        attempt = self._open
        if attempt is None:
            return
        self.is_reached = self.is_reached or event.is_upstream_reached
        ahead = attempt.start_offset_seconds - elapsed
        if ahead > 0:
            self._open = None
            self._upstream_seconds -= ahead
            return
        used = find_failed_usage(attempt.event, event, attempt.output_bytes, has_output=attempt.has_output)
        self._record_billed(attempt, used)
        self._upstream_seconds += self._close_attempt(attempt, elapsed, event.failure, event.http_status)

    def _record_tool_started(self, _event: ToolStarted, elapsed: float) -> None:
        self.has_sent_output = True
        self._find_agent().start_tool(elapsed)

    def _record_tool_finished(self, event: ToolFinished, elapsed: float) -> None:
        self.has_sent_output = True
        self._find_agent().finish_tool(event, elapsed)

    def _record_step_started(self, event: StepStarted, _elapsed: float) -> None:
        self.step = event.number
        self._find_agent()
        self.account.begin_step()

    def _record_step_finished(self, event: StepFinished, _elapsed: float) -> None:
        self.step = 0
        self._find_agent().finish_step(event)

    def _record_reasoning_finished(self, event: ReasoningFinished, _elapsed: float) -> None:
        self._find_agent().finish(event)

    def _find_agent(self) -> AgentRecord:
        """Returns the record of the agent, which may end before its first step."""
        agent = self.agent
        if agent is None:
            agent = self.agent = AgentRecord()
        return agent

    def _record_run_paused(self, event: RunPaused, _elapsed: float) -> None:
        """Records the end of an answer that no model has written. Its parts come at once, so they have no pace."""
        call, self._gaps = self._last_call, None
        self._last_call = ModelCallFinished(
            ModelCallPurpose.STEP,
            event.model,
            0,
            FinishReason.TOOL_CALLS,
            "" if call is None else call.provider_finish_reason,
            _NO_USAGE if call is None else call.usage,
        )

    _RECORDS: ClassVar[Mapping[type[Event], Callable[["Ledger", Any, float], None]]] = {
        ContentDelta: _record_content,
        ReasoningDelta: _record_reasoning,
        ToolCallDelta: _record_tool_call,
        InternalDelta: _record_internal,
        ModelCallStarted: _record_call_started,
        AttemptSwitched: _record_switched,
        ModelCallFinished: _record_call_finished,
        ModelCallFailed: _record_call_failed,
        ToolStarted: _record_tool_started,
        ToolFinished: _record_tool_finished,
        StepStarted: _record_step_started,
        StepFinished: _record_step_finished,
        ReasoningFinished: _record_reasoning_finished,
        RunPaused: _record_run_paused,
    }
    """What each kind of event changes; the others change nothing."""

    def _close_attempt(self, attempt: _OpenAttempt, elapsed: float, failure: str = "", http_status: int = 0) -> float:
        """Ends the attempt in progress, and returns its duration in seconds."""
        self._open = None
        started = attempt.start_offset_seconds
        duration = elapsed - started
        self.attempts.append(
            Attempt(attempt.call, attempt.event.attempt, attempt.event.model, started, duration, failure, http_status)
        )
        return duration

    def _close_interrupted(self, attempt: _OpenAttempt, failure: ReasoningError | None, elapsed: float) -> None:
        """Ends an attempt that failed or was cut, with the upstream's token counts or an estimate."""
        used = find_interrupted_usage(attempt.event, failure, attempt.output_bytes, has_output=attempt.has_output)
        self._record_billed(attempt, used)
        http_status = failure.http_status if isinstance(failure, UpstreamError) else 0
        self._close_attempt(attempt, elapsed, failure.reason if failure else "CANCELLED", http_status)

    def _record_billed(self, attempt: _OpenAttempt, usage: Usage | None) -> None:
        """Records what a failed attempt used, if anything."""
        if usage is not None:
            event = attempt.event
            self.account.record(ModelCallUsage(attempt.call, event.purpose, event.model, usage), event.prices)
