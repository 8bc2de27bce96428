"""`CallCounts`: adds up how calls ended and what they used, at the end of each call.

This concerns every call, so it does as little as possible. A call that ends is put aside, and calls are counted in
batches, at the latest when somebody reads the counts. Calls with the same labels share a `_Cell`, and each value costs
an addition in a list. What follows from these counts is worked out when somebody reads them: the number of calls
is that of their durations, and the number of decisions is that of the calls which had one.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from itertools import pairwise
from threading import Lock
from typing import Final

from reasoning_grpc.domain import (
    AgentReport,
    Attempt,
    CallContext,
    CallReport,
    Classification,
    ModelCallUsage,
    RoutingMode,
    ToolStatus,
)
from reasoning_grpc.telemetry.metrics import families
from reasoning_grpc.telemetry.metrics.families import OTHER
from reasoning_grpc.telemetry.metrics.series import Buckets, Counter, Histogram, SnapshotBuilder, create_buckets

_BATCH: Final = 64
"""The calls that are counted at once. One by one, among everything else that a call does, each would take thrice as
long, because nothing of this would be in the caches of the processor."""
_MOST_CELLS: Final = 10_000
"""The most combinations of labels. After these, callers and models are counted together."""
_NANO: Final = 1_000_000_000
_REFUSALS: Final = frozenset({"SERVER_OVERLOADED", "SERVER_SHUTTING_DOWN", "CALLER_LIMIT"})
"""The reasons of calls for which the server did nothing."""
_DURATION_BOUNDS: Final = families.CALL_DURATION.bounds
_OVERHEAD_BOUNDS: Final = families.OVERHEAD.bounds
_FIRST_TOKEN_BOUNDS: Final = families.FIRST_TOKEN.bounds
_TOKEN_BOUNDS: Final = families.TOKEN_USAGE.bounds
DELTA_GAP_BOUNDS: Final = families.DELTA_GAP.bounds
"""The buckets in which the times between deltas are counted while an answer is streamed."""

_Key = tuple[str, str, str, str, str, str, str, str]
"""The method, code, reason, caller, model, and the source, mode and configured route of the decision."""


class _Cell:
    """The counts of all calls with one key. What such calls do not have is None: most cells are of failures."""

    __slots__ = ("costs", "duration", "first_token", "gaps", "overhead", "queue", "time_per_token", "unpriced")

    def __init__(self) -> None:
        self.duration = create_buckets(families.CALL_DURATION)
        self.queue: Buckets | None = None
        self.overhead: Buckets | None = None
        self.first_token: Buckets | None = None
        self.time_per_token: Buckets | None = None
        self.gaps: Buckets | None = None
        self.costs: dict[str, int] = {}
        """Nano-dollars by model."""
        self.unpriced: dict[str, int] = {}
        """Calls by the model of which a price is missing."""


class _TokenCell:
    """The tokens of all model calls with one model and one source of counts."""

    __slots__ = ("input", "output", "parts")

    def __init__(self) -> None:
        self.input = create_buckets(families.TOKEN_USAGE)
        self.output = create_buckets(families.TOKEN_USAGE)
        self.parts = {"CACHED_INPUT": 0, "CACHE_WRITE": 0, "AUDIO_INPUT": 0, "REASONING": 0}
        """The kinds of tokens that are a part of the input or the output."""


class CallCounts:
    """The counts of all calls of a process."""

    def __init__(self) -> None:
        self._ended: deque[tuple[str, str, str, CallContext, float]] = deque()
        self._lock = Lock()
        """Keeps two threads from counting the same calls: the event loop's, and that of a reader."""
        self._cells: dict[_Key, _Cell] = {}
        self._attempts: dict[tuple[str, str], Buckets] = {}
        """By model and reason of the failure."""
        self._tokens: dict[tuple[str, str], _TokenCell] = {}
        """By model and source of the counts."""
        self._retries = Counter(families.RETRIES)
        self._fallbacks = Counter(families.FALLBACKS)
        self._classifier_duration = Histogram(families.CLASSIFIER_DURATION)
        self._classifier_failures = Counter(families.CLASSIFIER_FAILURES)
        self._agent_runs = Counter(families.AGENT_RUNS)
        self._agent_steps = Counter(families.AGENT_STEPS)
        self._tools = Histogram(families.TOOL_DURATION)
        self._tasks = Histogram(families.TASK_DURATION)
        self.service = ""
        """The full name of the service whose methods are called."""
        self.find_provider: Callable[[str], str] = lambda _model: ""
        """Returns the provider of a model as the conventions name it; empty where it is not known."""

    def record(self, method: str, code: str, reason: str, call: CallContext, end_time: float) -> None:
        """Records a call that ended at this time with this code, and this reason unless it is empty."""
        ended = self._ended
        ended.append((method, code, reason, call, end_time - call.arrival_time))
        if len(ended) >= _BATCH:
            self._count_ended()

    def _count_ended(self) -> None:
        """Counts the calls that have ended since the last time."""
        ended = self._ended
        with self._lock:
            while ended:
                self._count(*ended.popleft())

    def _count(self, method: str, code: str, reason: str, call: CallContext, seconds: float) -> None:
        report = call.report
        decision = report.route_decision
        if decision is None:
            key = (method, code, reason, call.caller.name, "", "", "", "")
        else:
            route = decision.configured_route
            key = (method, code, reason, call.caller.name, report.model, decision.source, decision.mode, route)
        cell = self._cells.get(key) or self._add_cell(key)
        buckets = cell.duration
        buckets[bisect_left(_DURATION_BOUNDS, seconds)] += 1
        buckets[-1] += seconds
        if call.queue_seconds:
            if cell.queue is None:
                cell.queue = create_buckets(families.QUEUE_DURATION)
            _add(cell.queue, families.QUEUE_DURATION.bounds, call.queue_seconds)
        if decision is None and not report.model_usages:
            return
        timings = report.timings
        if timings is not None:
            seconds, overhead = timings.overhead_seconds, cell.overhead
            if overhead is None:
                overhead = cell.overhead = create_buckets(families.OVERHEAD)
            overhead[bisect_left(_OVERHEAD_BOUNDS, seconds)] += 1
            overhead[-1] += seconds
            if timings.first_token_seconds is not None:
                seconds, first_token = timings.first_token_seconds, cell.first_token
                if first_token is None:
                    first_token = cell.first_token = create_buckets(families.FIRST_TOKEN)
                first_token[bisect_left(_FIRST_TOKEN_BOUNDS, seconds)] += 1
                first_token[-1] += seconds
            if report.pace is not None:
                _add_pace(cell, report)
        for used in report.model_usages:
            self._record_usage(used)
        if report.cost is not None:
            costs = cell.costs
            for item in report.cost.items:
                costs[item.model] = costs.get(item.model, 0) + item.nano_usd
        elif report.unpriced_model:
            cell.unpriced[report.unpriced_model] = cell.unpriced.get(report.unpriced_model, 0) + 1
        attempts = report.attempts
        for attempt in attempts:
            self._record_attempt(attempt)
        if len(attempts) > 1:
            self._record_switches(attempts)
        if decision is not None and decision.classification is not None:
            self._record_classification(decision.classification)
        if report.agent is not None:
            self._record_agent(report.agent)

    def _add_cell(self, key: _Key) -> _Cell:
        if len(self._cells) >= _MOST_CELLS:
            method, code, reason, _, _, source, mode, _ = key
            key = (method, code, reason, OTHER, OTHER, source, mode, "")
        cell = self._cells[key] = self._cells.get(key) or _Cell()
        return cell

    def _record_usage(self, used: ModelCallUsage) -> None:
        usage = used.usage
        key = (used.model, usage.source)
        cell = self._tokens.get(key)
        if cell is None:
            cell = self._tokens[key] = _TokenCell()
        tokens, buckets = usage.input_tokens, cell.input
        buckets[bisect_left(_TOKEN_BOUNDS, tokens)] += 1
        buckets[-1] += tokens
        tokens, buckets = usage.output_tokens, cell.output
        buckets[bisect_left(_TOKEN_BOUNDS, tokens)] += 1
        buckets[-1] += tokens
        if usage.cached_input_tokens:
            cell.parts["CACHED_INPUT"] += usage.cached_input_tokens
        if usage.cache_write_tokens:
            cell.parts["CACHE_WRITE"] += usage.cache_write_tokens
        if usage.audio_input_tokens:
            cell.parts["AUDIO_INPUT"] += usage.audio_input_tokens
        if usage.reasoning_tokens:
            cell.parts["REASONING"] += usage.reasoning_tokens

    def _record_attempt(self, attempt: Attempt) -> None:
        key = (attempt.model, attempt.failure)
        buckets = self._attempts.get(key)
        if buckets is None:
            buckets = self._attempts[key] = create_buckets(families.ATTEMPT_DURATION)
        buckets[bisect_left(_DURATION_BOUNDS, attempt.duration_seconds)] += 1
        buckets[-1] += attempt.duration_seconds

    def _record_switches(self, attempts: tuple[Attempt, ...]) -> None:
        """Records which of the attempts repeated the one before, and which took another model."""
        for failed, following in pairwise(attempts):
            if failed.call != following.call:
                continue
            if failed.model == following.model:
                self._retries.add(1, following.model, failed.failure)
            else:
                self._fallbacks.add(1, failed.model, following.model, failed.failure)

    def _record_classification(self, classification: Classification) -> None:
        if classification.latency_seconds is not None:
            self._classifier_duration.record(classification.latency_seconds, classification.model)
        if problem := classification.failure or classification.flaw:
            self._classifier_failures.add(1, classification.model, str(problem))

    def _record_agent(self, agent: AgentReport) -> None:
        self._agent_runs.add(1, "" if agent.end is None else agent.end.value)
        for outcome in agent.step_outcomes:
            self._agent_steps.add(1, outcome.value)
        for name, status, seconds in agent.tool_calls:
            # A tool that is not there has the name that the model has made up.
            self._tools.record(seconds, OTHER if status is ToolStatus.NOT_AVAILABLE else name, status.value)

        for task_outcome, seconds in agent.tasks:
            self._tasks.record(seconds, task_outcome.value)

    def read(self, builder: SnapshotBuilder) -> None:
        """Adds all counts to a snapshot."""
        self._count_ended()
        for key, cell in list(self._cells.items()):
            self._read_cell(builder, key, cell)
        for (model, failure), buckets in list(self._attempts.items()):
            builder.add(families.ATTEMPTS, sum(buckets[:-1]), model, failure)
            builder.add_buckets(families.ATTEMPT_DURATION, [buckets], self.find_provider(model), model, failure)
        for (model, source), tokens in list(self._tokens.items()):
            self._read_tokens(builder, model, str(source), tokens)
        for counter in (
            self._retries,
            self._fallbacks,
            self._classifier_failures,
            self._agent_runs,
            self._agent_steps,
        ):
            builder.add_counter(counter)
        builder.add_histogram(self._classifier_duration)
        builder.add_histogram(self._tools)
        builder.add_histogram(self._tasks)

    def _read_cell(self, builder: SnapshotBuilder, key: _Key, cell: _Cell) -> None:
        method, code, reason, caller, model, source, mode, configured_route = map(str, key)
        calls = sum(cell.duration[:-1])
        method = f"{self.service}/{method}"
        builder.add(families.CALLS, calls, method, code, reason or ("" if code == "OK" else code))
        builder.add(families.CALLER_CALLS, calls, caller, code)
        if reason in _REFUSALS:
            builder.add(families.CALLS_REFUSED, calls, reason)
        builder.add_buckets(families.CALL_DURATION, [cell.duration], method, code)
        builder.add_buckets(families.QUEUE_DURATION, [cell.queue or create_buckets(families.QUEUE_DURATION)])
        if not source:
            return
        if mode != RoutingMode.AUTO:
            builder.add(families.DECISIONS, calls, source, configured_route or mode.lower())
        provider = self.find_provider(model)
        for family, buckets, labels in (
            (families.OVERHEAD, cell.overhead, (mode,)),
            (families.FIRST_TOKEN, cell.first_token, (provider, model)),
            (families.TIME_PER_TOKEN, cell.time_per_token, (provider, model)),
            (families.DELTA_GAP, cell.gaps, (model,)),
        ):
            if buckets is not None and any(buckets):
                builder.add_buckets(family, [buckets], *labels)
        for costing_model, nano_usd in list(cell.costs.items()):
            builder.add(families.COST, nano_usd / _NANO, costing_model, caller)
        for unpriced_model, unpriced_calls in list(cell.unpriced.items()):
            builder.add(families.UNPRICED_CALLS, unpriced_calls, unpriced_model)

    def _read_tokens(self, builder: SnapshotBuilder, model: str, source: str, cell: _TokenCell) -> None:
        provider = self.find_provider(model)
        builder.add_buckets(families.TOKEN_USAGE, [cell.input], provider, model, "input")
        builder.add_buckets(families.TOKEN_USAGE, [cell.output], provider, model, "output")
        builder.add(families.TOKENS, cell.input[-1], model, "INPUT", source)
        builder.add(families.TOKENS, cell.output[-1], model, "OUTPUT", source)
        for kind, tokens in cell.parts.items():
            if tokens:
                builder.add(families.TOKENS, tokens, model, kind, source)


def _add(buckets: Buckets, bounds: tuple[float, ...], value: float) -> None:
    buckets[bisect_left(bounds, value)] += 1
    buckets[-1] += value


def _add_pace(cell: _Cell, report: CallReport) -> None:
    """Records how the parts of an answer followed each other."""
    pace = report.pace
    assert pace is not None
    if cell.gaps is None:
        cell.gaps = create_buckets(families.DELTA_GAP)
    gaps = cell.gaps
    for index, count in enumerate(pace.gap_counts):
        if count:
            gaps[index] += count
    gaps[-1] += pace.gap_seconds
    if pace.seconds_per_token is not None:
        if cell.time_per_token is None:
            cell.time_per_token = create_buckets(families.TIME_PER_TOKEN)
        _add(cell.time_per_token, families.TIME_PER_TOKEN.bounds, pace.seconds_per_token)
