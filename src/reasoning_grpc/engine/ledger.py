"""`Ledger`: the tokens, cost and time of one request, recorded from its events as they pass."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add

from msgspec import Struct
from msgspec.structs import replace

from reasoning_grpc.domain import (
    Attempt,
    Cost,
    ModelCallPurpose,
    ModelCallUsage,
    Prices,
    Timings,
    Usage,
    UsageMeter,
    UsageSource,
    count_bytes,
    estimate_tokens,
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
    StepFinished,
    StepStarted,
    StreamEvent,
    ToolCallDelta,
    ToolFinished,
    ToolStarted,
)


@dataclass(slots=True)
class _OpenAttempt:
    """The attempt in progress."""

    call: int
    purpose: ModelCallPurpose
    model: str
    number: int
    input_tokens: int
    start_offset_seconds: float
    """When the attempt begins, from the arrival of the request; in the future while a retry waits for its delay."""
    meter: UsageMeter
    output_bytes: int = 0
    has_output: bool = False


class Entry(Struct, frozen=True):
    """An event, with the model call and the step that it belongs to."""

    event: Event
    call: int
    step: int = 0
    """0 outside of steps."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """The ledger of one request. Times are seconds of the event loop's clock."""

    response_id: str
    arrival_time: float
    clock: Callable[[], float]
    prices_of: Callable[[str], Prices]
    queue_seconds: float = 0.0
    """How long the request waited before its work began."""
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
    _first_token_seconds: float | None = None
    _delay_seconds: float = 0.0
    """The delay before the next attempt begins."""
    _upstream_seconds: float = 0.0
    _client_seconds: float = 0.0
    _handed_over: float = 0.0
    """The time when the client got the last event."""
    _tool_seconds: float = 0.0
    """The time in which at least one tool ran."""
    _tools_running: int = 0
    _tools_since: float = 0.0
    _before_step: int = 0
    """The number of entries in `_usages` that are older than the step in progress."""
    _open: _OpenAttempt | None = None
    _reached: bool = False
    _prices: dict[str, Prices] = field(default_factory=dict)
    """Prices at the time when an attempt of the model began: a model may leave the table while it answers."""
    _usages: list[ModelCallUsage] = field(default_factory=list)
    """One entry for each attempt that used tokens."""
    _last_call: ModelCallFinished | None = None

    def elapsed_seconds(self) -> float:
        """Returns the time since the request arrived."""
        return self.clock() - self.arrival_time

    def record_route(self) -> None:
        """Records that the route is decided now."""
        self._routed_seconds = self.elapsed_seconds()

    def record(self, event: Event) -> Entry:
        """Records one event at the time when it happens."""
        match event:
            case ContentDelta(text=text):
                self.content_characters += len(text)
                self._record_sent()
                self._record_output(text)
            case ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
                self._record_sent()
                self._record_output(text)
            case InternalDelta(text=text):
                self._record_output(text)
            case ModelCallStarted(purpose=purpose, model=model, attempt=number):
                self.calls += number == 1
                self._prices[model] = self.prices_of(model)
                started = self.elapsed_seconds() + self._delay_seconds
                self._open = _OpenAttempt(self.calls, purpose, model, number, event.input_tokens, started, event.meter)
                self._delay_seconds = 0.0
            case AttemptSwitched():
                self._reached = self._reached or event.is_upstream_reached
                if self._open is not None:
                    self._record_failed(self._open, event.usage, event.is_upstream_reached and not event.http_status)
                self._upstream_seconds += self._close_attempt(event.failure, event.http_status) + event.delay_seconds
                self._delay_seconds = event.delay_seconds
            case ModelCallFinished():
                self._close_attempt()
                self._upstream_seconds += event.upstream_seconds
                self._last_call = event
                self._usages.append(ModelCallUsage(self.calls, event.purpose, event.model, event.usage))
            case ModelCallFailed() if self._open is not None:
                self._record_failed_call(self._open, event)
            case ToolStarted() | ToolFinished():
                self._record_tool(started=isinstance(event, ToolStarted))
            case StepStarted(number=number):
                self.step, self._before_step = number, len(self._usages)
            case StepFinished():
                step, self.step = self.step, 0
                return Entry(event, self.calls, step)
            case _:
                pass
        return Entry(event, self.calls, self.step)

    def purpose(self) -> ModelCallPurpose | None:
        """Returns the purpose of the model call in progress; None when there is none."""
        return None if self._open is None else self._open.purpose

    def usage(self) -> Usage | None:
        """Returns the tokens used so far; None when no model call used any."""
        return _sum(self._usages)

    def step_usage(self) -> Usage | None:
        """Returns the tokens of the step in progress, or else of the last step; None when it used none."""
        return _sum(self._usages[self._before_step :])

    def cost(self) -> Cost | None:
        """Returns the cost of all model calls so far; None when a price of one of the models is not known."""
        usages: dict[str, list[Usage]] = {}
        for entry in self._usages:
            usages.setdefault(entry.model, []).append(entry.usage)
        costs = [self._prices[model].compute_cost(model, each) for model, each in usages.items()]
        known = [cost for cost in costs if cost is not None]
        return reduce(add, known) if known and len(known) == len(costs) else None

    def build_completed(self) -> Completed:
        """Builds the last event. The model call that ended last is the answer."""
        answer = self._last_call
        if answer is None:
            raise ValueError("no model call has ended")
        usage = self.usage()
        assert usage is not None
        total = self.elapsed_seconds()
        return Completed(
            finish_reason=answer.finish_reason,
            provider_finish_reason=answer.provider_finish_reason,
            model=answer.model,
            usage=usage,
            model_calls=self._model_calls(),
            cost=self.cost(),
            timings=Timings(
                queue_seconds=self.queue_seconds,
                routing_seconds=self._routed_seconds,
                first_token_seconds=self._first_token_seconds,
                total_seconds=total,
                overhead_seconds=max(0.0, total - self._upstream_seconds - self._tool_seconds - self._client_seconds),
            ),
            attempts=tuple(self.attempts),
        )

    def hand_over(self, entry: Entry) -> StreamEvent:
        """Returns the next event for the client, with its number; from now on the client takes the time."""
        self._handed_over = self.clock()
        self.events += 1
        elapsed_seconds = self._handed_over - self.arrival_time
        return StreamEvent(self.events - 1, elapsed_seconds, entry.call, entry.event, entry.step)

    def take_back(self) -> None:
        """Records that the client has read the event that was handed over last."""
        self._client_seconds += self.clock() - self._handed_over

    def build_heartbeat(self) -> StreamEvent:
        """Returns a heartbeat for the client, which repeats the number of the event before it."""
        return StreamEvent(self.events - 1, self.elapsed_seconds(), self.calls, Heartbeat(), self.step)

    def close(self, error: BaseException) -> Progress | None:
        """Closes the ledger of a request that this error ended, and returns its progress.

        Returns None when no upstream was reached.
        """
        failure = error if isinstance(error, ReasoningError) else None
        if self._open is not None and self._open.start_offset_seconds <= self.elapsed_seconds():
            self._close_interrupted(self._open, failure)
        if isinstance(failure, UpstreamError):
            self._reached = self._reached or failure.is_upstream_reached
        usage = self.usage()
        if not self._reached and usage is None:
            return None
        return Progress(
            response_id=self.response_id,
            usage=usage or Usage(0, 0, 0, UsageSource.PROVIDER),
            cost=self.cost(),
            model_call_count=self.calls,
            attempt_count=len(self.attempts),
            last_sequence=self.events - 1,
            content_characters=self.content_characters,
            has_sent_output=self.has_sent_output,
        )

    def _record_sent(self) -> None:
        self.has_sent_output = True
        if self._first_token_seconds is None and not self.step:  # reasoning within a step is no part of the answer
            self._first_token_seconds = self.elapsed_seconds()

    def _record_tool(self, *, started: bool) -> None:
        """Records that a tool began or ended; several may run at once."""
        self.has_sent_output = True
        if started and not self._tools_running:
            self._tools_since = self.elapsed_seconds()
        self._tools_running += 1 if started else -1
        if not self._tools_running:
            self._tool_seconds += self.elapsed_seconds() - self._tools_since

    def _record_output(self, text: str) -> None:
        if self._open is not None:
            self._open.has_output = True
            self._open.output_bytes += count_bytes(text)

    def _close_attempt(self, failure: str = "", http_status: int = 0) -> float:
        """Ends the attempt in progress, and returns its duration in seconds."""
        attempt, self._open = self._open, None
        if attempt is None:
            return 0.0
        duration = self.elapsed_seconds() - attempt.start_offset_seconds
        self.attempts.append(
            Attempt(
                call=attempt.call,
                number=attempt.number,
                model=attempt.model,
                start_offset_seconds=attempt.start_offset_seconds,
                duration_seconds=duration,
                failure=failure,
                http_status=http_status,
            )
        )
        return duration

    def _record_failed_call(self, attempt: _OpenAttempt, event: ModelCallFailed) -> None:
        """Ends the attempt in progress. An attempt that was still waiting for its delay does not count."""
        self._reached = self._reached or event.is_upstream_reached
        ahead = attempt.start_offset_seconds - self.elapsed_seconds()
        if ahead > 0:
            self._open = None
            self._upstream_seconds -= ahead
            return
        self._record_failed(
            attempt, event.usage, attempt.has_output or (event.is_upstream_reached and not event.http_status)
        )
        self._upstream_seconds += self._close_attempt(event.failure, event.http_status)

    def _close_interrupted(self, attempt: _OpenAttempt, failure: ReasoningError | None) -> None:
        """Ends an attempt that failed or was cut, with the upstream's token counts or an estimate."""
        upstream = failure if isinstance(failure, UpstreamError) else None
        may_bill = attempt.has_output or (
            upstream.is_upstream_reached and not upstream.http_status if upstream else True
        )
        self._record_failed(attempt, upstream.usage if upstream else None, may_bill)
        self._close_attempt(failure.reason if failure else "CANCELLED", upstream.http_status if upstream else 0)

    def _record_failed(self, attempt: _OpenAttempt, usage: Usage | None, may_bill: bool) -> None:
        """Records what a failed attempt used: the known usage, or an estimate where the upstream may bill it.

        Without a usage from the attempt's error, it is what the provider has counted so far.

        Without an HTTP status of failure the upstream may have begun to work on the prompt, and to bill it.
        """
        usage = usage or attempt.meter.read()
        if usage is None and may_bill:
            output = estimate_tokens(attempt.output_bytes)
            usage = Usage(attempt.input_tokens, output, attempt.input_tokens + output, UsageSource.ESTIMATED)
        if usage is not None:
            self._usages.append(ModelCallUsage(attempt.call, attempt.purpose, attempt.model, usage))

    def _model_calls(self) -> tuple[ModelCallUsage, ...]:
        """Returns one entry for each model call: the sum of its attempts, with the model that was tried last."""
        calls: dict[int, ModelCallUsage] = {}
        for entry in self._usages:
            before = calls.get(entry.call)
            calls[entry.call] = entry if before is None else replace(entry, usage=before.usage + entry.usage)
        return tuple(calls.values())


def _sum(entries: Sequence[ModelCallUsage]) -> Usage | None:
    return reduce(add, (entry.usage for entry in entries)) if entries else None
