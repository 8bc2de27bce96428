"""The tokens that a model call is billed for, counted from its events, however the call ends."""

from reasoning_grpc.domain import CostSum, Usage, UsageSource, count_bytes, estimate_tokens, read_clock
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
)


def find_billed_usage(
    attempt: ModelCallStarted, usage: Usage | None, output_bytes: int, *, may_bill: bool
) -> Usage | None:
    """Returns what an attempt without an end used; None when it is billed for nothing.

    It is `usage` where its error has one, else what the provider has counted so far, else an estimate where the
    upstream `may_bill` the attempt: it has sent `output_bytes`, or may have begun to work on the prompt.
    """
    usage = usage or attempt.meter.read()
    if usage is None and may_bill:
        prompt, output = attempt.estimate_prompt_tokens(), estimate_tokens(output_bytes)
        usage = Usage(prompt, output, prompt + output, UsageSource.ESTIMATED)
    return usage


class BilledUsage:
    """Adds up what the attempts at one model call used, from the events of the call."""

    __slots__ = ("_attempt", "_costs", "_delay_seconds", "_output_bytes", "_starts", "output_tokens", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self.output_tokens: int | None = None
        """The tokens of the whole answer. None until the call has finished."""
        self._costs = CostSum()
        self._attempt: ModelCallStarted | None = None
        self._output_bytes = 0
        self._delay_seconds = 0.0
        self._starts = 0.0

    @property
    def nano_usd(self) -> int:
        """The cost so far; 0 when the price of a token is not known."""
        cost = self._costs.build_cost()
        return 0 if cost is None else cost.total_nano_usd

    def record(self, event: Event) -> None:
        """Records an event of the call."""
        match event:
            case ContentDelta(text=text) | ReasoningDelta(text=text) | ToolCallDelta(arguments=text):
                self._output_bytes += count_bytes(text)
            case ModelCallStarted():
                self._attempt, self._output_bytes = event, 0
                self._starts = read_clock() + self._delay_seconds
            case ModelCallFinished(usage=usage):
                self.output_tokens = usage.output_tokens
                self._add(usage)
            case AttemptSwitched():
                self._end_attempt(event.usage, may_bill=event.is_upstream_reached and not event.http_status)
                self._delay_seconds = event.delay_seconds
            case _:
                pass

    def close(self, error: BaseException) -> None:
        """Records the error that ended the call, such as its cancellation."""
        if self._attempt is None or self._starts > read_clock():  # it still waited for its delay
            return
        if isinstance(error, UpstreamError):
            may_bill = bool(self._output_bytes) or (error.is_upstream_reached and not error.http_status)
            self._end_attempt(error.usage, may_bill=may_bill)
        else:
            may_bill = bool(self._output_bytes) or self._attempt.meter.was_sent()
            self._end_attempt(None, may_bill=may_bill)

    def _end_attempt(self, usage: Usage | None, *, may_bill: bool) -> None:
        if self._attempt is None:
            return
        billed = find_billed_usage(self._attempt, usage, self._output_bytes, may_bill=may_bill)
        if billed is None:
            self._attempt = None
        else:
            self._add(billed)

    def _add(self, usage: Usage) -> None:
        attempt, self._attempt = self._attempt, None
        self.tokens += usage.total_tokens
        if attempt is not None:
            self._costs.add(attempt.model, usage, attempt.prices)
