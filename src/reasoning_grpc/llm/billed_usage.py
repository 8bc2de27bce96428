"""The tokens that a model call is billed for, counted from its events, however the call ends."""

from reasoning_grpc.domain import CostSum, Usage, UsageSource, count_bytes, estimate_tokens, read_clock
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.domain.events import (
    AttemptSwitched,
    ContentDelta,
    Event,
    ModelCallFailed,
    ModelCallFinished,
    ModelCallStarted,
    ReasoningDelta,
    ToolCallDelta,
)


def find_failed_usage(
    attempt: ModelCallStarted,
    failure: AttemptSwitched | ModelCallFailed | UpstreamError,
    output_bytes: int,
    *,
    has_output: bool,
) -> Usage | None:
    """Returns what an attempt used that failed in this way; None when it is billed for nothing.

    An upstream may bill an attempt of which it has sent something. It may bill one of which it has sent nothing when it
    was reached and did not refuse the attempt by an HTTP status: then it may have begun to work on the prompt.
    """
    may_bill = has_output or (failure.is_upstream_reached and not failure.http_status)
    return _find_billed_usage(attempt, failure.usage, output_bytes, may_bill=may_bill)


def find_interrupted_usage(
    attempt: ModelCallStarted, error: BaseException | None, output_bytes: int, *, has_output: bool
) -> Usage | None:
    """Returns what an attempt used that this error ended, such as a cancellation; None when it is billed for nothing.

    Where it is no failure of the upstream, the upstream may bill an attempt whose request was sent.
    """
    if isinstance(error, UpstreamError):
        return find_failed_usage(attempt, error, output_bytes, has_output=has_output)
    return _find_billed_usage(attempt, None, output_bytes, may_bill=has_output or attempt.meter.was_sent())


def _find_billed_usage(
    attempt: ModelCallStarted, usage: Usage | None, output_bytes: int, *, may_bill: bool
) -> Usage | None:
    """Returns the usage of the error, else what the provider has counted so far, else an estimate if it `may_bill`."""
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
                self._end_attempt(event)
                self._delay_seconds = event.delay_seconds
            case _:
                pass

    def close(self, error: BaseException) -> None:
        """Records the error that ended the call, such as its cancellation."""
        if self._attempt is None or self._starts > read_clock():  # it still waited for its delay
            return
        has_output = bool(self._output_bytes)
        self._add_billed(find_interrupted_usage(self._attempt, error, self._output_bytes, has_output=has_output))

    def _end_attempt(self, event: AttemptSwitched) -> None:
        if self._attempt is not None:  # no other attempt follows one of which something was sent
            self._add_billed(find_failed_usage(self._attempt, event, self._output_bytes, has_output=False))

    def _add_billed(self, billed: Usage | None) -> None:
        if billed is None:
            self._attempt = None
        else:
            self._add(billed)

    def _add(self, usage: Usage) -> None:
        attempt, self._attempt = self._attempt, None
        self.tokens += usage.total_tokens
        if attempt is not None:
            self._costs.add(attempt.model, usage, attempt.prices)
