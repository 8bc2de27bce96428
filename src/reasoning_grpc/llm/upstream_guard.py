"""`UpstreamGuard`: what all calls to an upstream share: its breaker, its cooldowns, its retries and its bound."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from msgspec import Struct

from reasoning_grpc.domain import CallContext, Deployment, FairSlots
from reasoning_grpc.domain.errors import (
    UpstreamBusy,
    UpstreamCircuitOpen,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamTimeout,
)
from reasoning_grpc.llm.breaker import BreakerPolicy, BreakerState, CircuitBreaker, is_upstream_failure
from reasoning_grpc.llm.cooldowns import Cooldowns
from reasoning_grpc.llm.first_token_times import FirstTokenTimes
from reasoning_grpc.llm.gradient_limit import GradientLimit
from reasoning_grpc.llm.retry_budget import RetryBudget

_BUSY_RETRY_SECONDS: Final = 1.0

logger = logging.getLogger("reasoning_grpc.upstreams")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPolicy:
    """The rule for calls to an upstream."""

    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    retry_share: float = 0.1
    """The retries, as a share of the attempts."""
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
        self.model = model
        self.clock = clock
        self.breaker = CircuitBreaker(policy.breaker, clock, self._log_state)
        self.retries = RetryBudget(policy.retry_share)
        self.limit = GradientLimit(
            initial=policy.most_calls, minimum=min(policy.least_calls, policy.most_calls), maximum=policy.most_calls
        )
        self.first_tokens = FirstTokenTimes()
        self.slots = FairSlots(self.limit.limit, policy.most_waiting)
        self.openings = 0
        """How often the breaker has opened, or stayed open after a probe."""
        self._cooldowns = Cooldowns(policy.max_cooldown_seconds, clock)

    @property
    def state(self) -> BreakerState:
        """The state of the breaker."""
        return self.breaker.state

    def try_admit(self, deployment: Deployment, context: CallContext) -> "Admitted | None":
        """Admits an attempt if it may go to the upstream at once; None when it must `wait_for_slot`.

        Raises UpstreamRateLimited during a cooldown, and UpstreamCircuitOpen while the breaker is open. Nothing was
        sent then.
        """
        owner = context.caller.name
        key_owner = owner if deployment.is_callers_key else ""
        if self._cooldowns.ends:
            self._cooldowns.check(key_owner, deployment.name)
        if not self.breaker.is_closed:
            self._check_breaker(deployment.name, context)
        return self._begin(owner, key_owner) if self.slots.try_take(owner) else None

    async def wait_for_slot(self, deployment: Deployment, context: CallContext) -> "Admitted":
        """Waits until an attempt may go to the upstream that `try_admit` did not admit.

        Raises UpstreamBusy when too many calls stay in progress, and whatever `try_admit` raises, because a cooldown or
        the breaker may have begun during the wait. Nothing was sent then. A call whose deadline passes waits until it
        is cancelled: its time was too short, which is not the upstream's fault.
        """
        key_owner = context.caller.name if deployment.is_callers_key else ""
        owner = context.caller.name
        if not await self.slots.take(owner, self._policy.queue_seconds, context.caller.priority):
            raise UpstreamBusy(model=deployment.name, retry_after_seconds=_BUSY_RETRY_SECONDS)
        if context.remaining_seconds() == 0:  # whoever set the deadline now ends the call, and nothing is paid for
            self.slots.give_back(owner)
            await asyncio.Event().wait()
        try:
            self._cooldowns.check(key_owner, deployment.name)
            self._check_breaker(deployment.name, context)
        except (UpstreamRateLimited, UpstreamCircuitOpen):
            self.slots.give_back(owner)
            raise
        return self._begin(owner, key_owner)

    def _begin(self, owner: str, key_owner: str) -> "Admitted":
        """Begins an attempt, for which a slot is taken."""
        self.retries.attempts += 1
        is_probe = not self.breaker.is_closed and self.breaker.begin()
        return Admitted(self, owner, key_owner, self.clock(), is_probe)

    def _check_breaker(self, model: str, context: CallContext) -> None:
        remaining = context.remaining_seconds()
        if (wait := self.breaker.find_wait_seconds(inf if remaining is None else remaining)) is not None:
            raise UpstreamCircuitOpen(model=model, retry_after_seconds=wait)

    def record_failure(self, error: UpstreamError, key_owner: str, *, is_probe: bool) -> None:
        """Records the failure of an attempt, which was made with the key of this caller, if it is a caller's."""
        if is_upstream_failure(error):
            self.breaker.fail(is_probe=is_probe)
        elif not error.is_upstream_reached:  # nothing was sent, such as what litellm refuses
            self.breaker.abandon(is_probe=is_probe)
        else:
            self.breaker.succeed(is_probe=is_probe)
        if isinstance(error, UpstreamRateLimited | UpstreamOverloaded):
            self.limit.record_refusal(self.clock())
            self.slots.limit = self.limit.limit
        if isinstance(error, UpstreamRateLimited) and error.retry_after_seconds:
            seconds = self._cooldowns.begin(key_owner, error.retry_after_seconds)
            logger.warning("upstream limits the rate", extra={"model": self.model, "seconds": round(seconds, 3)})

    def record_first_token_wait(self, seconds: float) -> None:
        """Records for the bound how long the upstream took to begin an answer, or took at least."""
        if self.limit.record(seconds, self.slots.in_use, self.clock()):
            self.slots.limit = self.limit.limit

    def record_silence(self, started: float, queued_seconds: float, *, is_probe: bool) -> None:
        """Records an attempt, begun at this time, that its deadline has ended while the upstream had not answered.

        The attempt waited so long for a connection of our own.

        It is a failure when the silence is unusual, as `FirstTokenTimes` explains. That of a probe always is: the
        upstream was failing before, and a call with more time may be the next probe at once.
        """
        seconds = self.clock() - started - queued_seconds
        is_unusual = self.first_tokens.is_unusual(seconds)
        if not self.first_tokens.is_silent_since(started) or not (is_probe or is_unusual):
            self.breaker.abandon(is_probe=is_probe)
            return
        self.breaker.fail(is_probe=is_probe, silent_seconds=seconds)
        if is_unusual:
            self.record_first_token_wait(seconds)

    def _log_state(self, state: BreakerState) -> None:
        level = logging.INFO
        if state is BreakerState.OPEN:
            level = logging.WARNING
            self.openings += 1
        logger.log(level, "breaker", extra={"model": self.model, "state": state.value})


class Admitted(Struct, gc=False):
    """One attempt that was admitted to its upstream.

    Exactly one of `end`, `end_unanswered` and `abandon` takes effect: the first.
    """

    guard: UpstreamGuard
    owner: str
    """The caller, whose slot it takes."""
    key_owner: str
    """The caller whose key it uses; empty for the server's own key."""
    started: float
    is_probe: bool
    """Whether its outcome decides about the breaker. Once the answer has begun, it does no more."""
    has_begun: bool = False
    """Whether the upstream has begun its answer."""
    is_open: bool = True
    """Whether no outcome is recorded yet."""

    def record_first_token(self, queued_seconds: float = 0.0) -> None:
        """Records that the upstream has begun its answer. The attempt waited so long for a connection of our own.

        A probe closes the breaker then, and not at its end: an answer may take minutes, and its reader longer.
        """
        guard, now = self.guard, self.guard.clock()
        self.has_begun = True
        seconds = now - self.started - queued_seconds
        guard.first_tokens.record(seconds, now)
        guard.record_first_token_wait(seconds)
        if self.is_probe:
            self.is_probe = False
            guard.breaker.succeed(is_probe=True)
        elif not guard.breaker.is_closed:
            guard.breaker.end_silence()

    def end(self, error: UpstreamError | None = None, queued_seconds: float = 0.0) -> None:
        """Records the outcome: the error, or None for an answer that was whole.

        The attempt waited so long for a connection of our own.
        """
        if not self.is_open:
            return
        self.is_open = False
        guard = self.guard
        if error is None:
            guard.breaker.succeed(is_probe=self.is_probe)
        else:
            guard.record_failure(error, self.key_owner, is_probe=self.is_probe)
            if isinstance(error, UpstreamTimeout) and error.is_upstream_reached and not self.has_begun:
                guard.record_first_token_wait(guard.clock() - self.started - queued_seconds)
        guard.slots.give_back(self.owner)

    def end_unanswered(self, queued_seconds: float = 0.0) -> None:
        """Records that a deadline ended the attempt before the upstream began to answer the request.

        The attempt waited so long for a connection of our own.
        """
        if self.is_open:
            self.is_open = False
            self.guard.record_silence(self.started, queued_seconds, is_probe=self.is_probe)
            self.guard.slots.give_back(self.owner)

    def abandon(self) -> None:
        """Records that the attempt ended without an outcome of the upstream's, such as when its caller cancels."""
        if self.is_open:
            self.is_open = False
            self.guard.breaker.abandon(is_probe=self.is_probe)
            self.guard.slots.give_back(self.owner)


class UpstreamGuards:
    """The guards of all upstreams, by model and server."""

    def __init__(self, policy: GuardPolicy, clock: Callable[[], float]) -> None:
        self._policy = policy
        self.clock = clock
        self._guards: dict[object, UpstreamGuard] = {}

    def find(self, deployment: Deployment) -> UpstreamGuard:
        """Returns the guard of the upstream of this deployment. Entries with the same model and server share it."""
        guard = self._guards.get(deployment.model_and_server)
        if guard is None:
            guard = UpstreamGuard(self._policy, deployment.name, self.clock)
            self._guards[deployment.model_and_server] = guard
        return guard

    def list_guards(self) -> list[UpstreamGuard]:
        """Returns the guards of all upstreams that were called."""
        return list(self._guards.values())

    def is_open(self, deployment: Deployment) -> bool:
        """Whether the breaker of this upstream keeps calls away now.

        It does not once a call may try the upstream: who waits until the model is available would wait for ever.
        """
        guard = self._guards.get(deployment.model_and_server)
        return guard is not None and guard.breaker.find_wait_seconds() is not None
