"""`UpstreamGuard`: what all calls to an upstream share: its breaker, its cooldowns, its retries and its bound."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain import CallContext, Deployment, FairSlots
from reasoning_grpc.domain.errors import (
    UpstreamBusy,
    UpstreamCircuitOpen,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
)
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState, CircuitBreaker, is_upstream_failure
from reasoning_grpc.llm.gradient_limit import GradientLimit
from reasoning_grpc.llm.retry_budget import RetryBudget

_BUSY_RETRY_SECONDS: Final = 1.0

logger = logging.getLogger("reasoning_grpc.upstreams")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The rule for calls to an upstream."""

    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    initial_calls: int = 128
    least_calls: int = 8
    """The bound of calls in progress never falls below this."""
    most_calls: int = 1024
    most_waiting: int = 256
    """Calls that may wait for the bound."""
    queue_seconds: float = 1.0
    """How long a call waits for the bound."""
    max_cooldown_seconds: float = 60.0
    """The longest time for which a rate limit keeps calls away, whatever the upstream asks for."""


class UpstreamGuard:
    """Guards one upstream: one model at one server."""

    def __init__(self, policy: GuardPolicy, model: str, clock: Callable[[], float]) -> None:
        """`model` is the name in the log; `clock` returns seconds of a monotonic clock."""
        self._policy = policy
        self._model = model
        self._clock = clock
        self._breaker = CircuitBreaker(policy.breaker, clock, self._log_state)
        self.retries = RetryBudget()
        self._limit = GradientLimit(
            initial=min(policy.initial_calls, policy.most_calls), minimum=policy.least_calls, maximum=policy.most_calls
        )
        self._slots = FairSlots(self._limit.limit, policy.most_waiting)
        self._cooldowns: dict[str, float] = {}
        """When the cooldown of a key ends, by the caller whose key it is; an empty name for the server's own key."""

    @property
    def state(self) -> BreakerState:
        """The state of the breaker."""
        return self._breaker.state

    async def admit(self, deployment: Deployment, context: CallContext) -> "Admitted":
        """Waits until an attempt may go to the upstream.

        Raises UpstreamRateLimited during a cooldown, UpstreamCircuitOpen while the breaker is open, and UpstreamBusy
        when too many calls are in progress. Nothing was sent then.
        """
        model, now = deployment.name, self._clock()
        key_owner = context.caller.name if deployment.is_callers_key else ""
        if (wait := self._cooldowns.get(key_owner, 0.0) - now) > 0:
            raise UpstreamRateLimited(model=model, retry_after_seconds=wait, is_upstream_reached=False)
        self._check_breaker(model)
        owner = context.caller.name
        if not self._slots.try_take(owner):
            remaining = context.remaining_seconds()
            seconds = self._policy.queue_seconds if remaining is None else min(remaining, self._policy.queue_seconds)
            if not await self._slots.take(owner, seconds):
                raise UpstreamBusy(model=model, retry_after_seconds=_BUSY_RETRY_SECONDS)
            try:
                self._check_breaker(model)  # it may have opened meanwhile
            except UpstreamCircuitOpen:
                self._slots.give_back(owner)
                raise
        self.retries.record_attempt()
        return Admitted(self, owner, key_owner, self._clock(), is_probe=self._breaker.begin())

    def _check_breaker(self, model: str) -> None:
        if (wait := self._breaker.find_wait_seconds()) is not None:
            raise UpstreamCircuitOpen(model=model, retry_after_seconds=wait)

    def _record_first_token(self, started: float) -> None:
        now = self._clock()
        self._limit.record(now - started, self._slots.in_use, now)
        self._slots.limit = self._limit.limit

    def _record_end(self, admitted: "Admitted", error: UpstreamError | None) -> None:
        if error is not None and is_upstream_failure(error):
            self._breaker.fail(is_probe=admitted.is_probe)
        elif error is not None and not error.is_upstream_reached:  # nothing was sent, such as what litellm refuses
            self._breaker.abandon(is_probe=admitted.is_probe)
        else:
            self._breaker.succeed(is_probe=admitted.is_probe)
        if isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
            self._limit.record_refusal(self._clock())
            self._slots.limit = self._limit.limit
        if isinstance(error, UpstreamRateLimited) and error.retry_after_seconds:
            seconds = min(error.retry_after_seconds, self._policy.max_cooldown_seconds)
            self._cooldowns[admitted.key_owner] = self._clock() + seconds
            logger.warning("upstream limits the rate", extra={"model": self._model, "seconds": round(seconds, 3)})
        self._slots.give_back(admitted.owner)

    def _record_no_outcome(self, admitted: "Admitted") -> None:
        self._breaker.abandon(is_probe=admitted.is_probe)
        self._slots.give_back(admitted.owner)

    def _log_state(self, state: BreakerState) -> None:
        level = logging.WARNING if state is BreakerState.OPEN else logging.INFO
        logger.log(level, "breaker", extra={"model": self._model, "state": state.value})


class Admitted:
    """One attempt that was admitted to its upstream. Exactly one of `end` and `abandon` takes effect: the first."""

    __slots__ = ("_guard", "_is_open", "_started", "is_probe", "key_owner", "owner")

    def __init__(self, guard: UpstreamGuard, owner: str, key_owner: str, started: float, *, is_probe: bool) -> None:
        self._guard = guard
        self._started = started
        self._is_open = True
        self.owner = owner
        self.key_owner = key_owner
        self.is_probe = is_probe

    def record_first_token(self) -> None:
        """Records that the upstream has begun its answer."""
        self._guard._record_first_token(self._started)

    def end(self, error: UpstreamError | None = None) -> None:
        """Records the outcome: the error, or None for an answer that was whole."""
        if self._is_open:
            self._is_open = False
            self._guard._record_end(self, error)

    def abandon(self) -> None:
        """Records that the attempt ended without an outcome of the upstream's, such as by a cancellation."""
        if self._is_open:
            self._is_open = False
            self._guard._record_no_outcome(self)


class UpstreamGuards:
    """The guards of all upstreams, by model and server."""

    def __init__(self, policy: GuardPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self._clock = clock
        self._guards: dict[object, UpstreamGuard] = {}

    def find(self, deployment: Deployment) -> UpstreamGuard:
        """Returns the guard of the upstream of this deployment. Entries with the same model and server share it."""
        guard = self._guards.get(deployment.model_and_server)
        if guard is None:
            guard = UpstreamGuard(self._policy, deployment.name, self._clock)
            self._guards[deployment.model_and_server] = guard
        return guard

    def is_open(self, deployment: Deployment) -> bool:
        """Whether the breaker of this upstream keeps calls away now."""
        guard = self._guards.get(deployment.model_and_server)
        return guard is not None and guard.state is not BreakerState.CLOSED
