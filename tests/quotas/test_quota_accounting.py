"""However reservations, settlements, expiries and new limits follow each other, the balances add up."""

import time
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from reasoning_grpc.domain import CallerLimits, QuotaKind, Reservation
from reasoning_grpc.domain.errors import CallerLimitReached
from reasoning_grpc.quotas import MemoryQuotas

TOKENS, CALLS = QuotaKind.TOKENS, QuotaKind.CALLS
LIMITS = CallerLimits(tokens_per_minute=1000, calls_in_flight=5)
TOKENS_A_SECOND = 1000 / 60
EXPIRY_SECONDS = 60.0


class Accounting(RuleBasedStateMachine):
    """A caller with tokens a minute and calls in flight, beside a simple account of both.

    What is renewed depends on the real time, so the account knows tokens within what the test's own time renews.
    Reservations expire by a clock of the test.
    """

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.quotas = MemoryQuotas(lambda: self.now, reservation_seconds=EXPIRY_SECONDS)
        self.open: dict[Reservation, tuple[int, int, float]] = {}
        """The tokens, calls and expiry of the reservations that are open."""
        self.expired: dict[Reservation, int] = {}
        """The tokens of the reservations that expired and are not settled."""
        self.used = 0
        self.started = time.monotonic()

    def expire(self) -> None:
        """Moves what has expired to what was used."""
        for reservation, (tokens, calls, expires) in list(self.open.items()):
            if not calls and expires <= self.now:
                del self.open[reservation]
                self.expired[reservation] = tokens
                self.used += tokens

    @property
    def reserved(self) -> int:
        """The tokens of all open reservations."""
        return sum(tokens for tokens, _, _ in self.open.values())

    @property
    def calls(self) -> int:
        """The calls of all open reservations."""
        return sum(calls for _, calls, _ in self.open.values())

    @property
    def renewed(self) -> float:
        """More tokens than were renewed since the test began."""
        return (time.monotonic() - self.started) * TOKENS_A_SECOND + 2

    def try_reserve(self, tokens: int, calls: int) -> Reservation | None:
        """Reserves, and returns the reservation; None for a refusal."""
        coroutine = self.quotas.reserve("a", LIMITS, {TOKENS: tokens, CALLS: calls}, expires=not calls)
        try:
            coroutine.send(None)
        except StopIteration as end:
            reservation: Reservation = end.value
            return reservation
        except CallerLimitReached:
            return None
        raise AssertionError("it waits")

    @rule(target=reservations, tokens=st.integers(0, 1000), calls=st.integers(0, 1))
    def reserve(self, tokens: int, calls: int) -> Any:
        """Is granted exactly where enough is left."""
        self.expire()
        reservation = self.try_reserve(tokens, calls)
        if reservation is not None:
            needed = self.used + self.reserved + tokens
            assert not tokens or needed <= 1000 + self.renewed
            assert not calls or self.calls < 5
            self.open[reservation] = tokens, calls, self.now + EXPIRY_SECONDS
            return reservation
        assert (tokens and self.used + self.reserved + tokens > 1000) or (calls and self.calls >= 5)
        return None

    @rule(reservation=consumes(reservations), used=st.integers(0, 2000))
    def settle(self, reservation: Reservation | None, used: int) -> None:
        """Replaces what was reserved by what was used, at the end, the cancellation or the crash of a call alike."""
        self.expire()
        if reservation is None:
            return
        reservation.settle({TOKENS: used})
        if reservation in self.open:
            del self.open[reservation]
            self.used += used
        else:
            self.used += max(0, used - self.expired.pop(reservation))
        reservation.settle({TOKENS: 1000})  # has no effect

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0]))
    def let_time_pass(self, seconds: float) -> None:
        """Lets reservations come nearer to their expiry."""
        self.now += seconds

    @rule()
    def read_a_new_configuration(self) -> None:
        """Reads limits that are the same, in a new object."""
        limits = CallerLimits(tokens_per_minute=1000, calls_in_flight=5, requests_per_minute=None)
        self.quotas.list_balances("a", limits)

    @invariant()
    def balances_add_up(self) -> None:
        """What is left is the limit without what was used and what is reserved, and never below zero."""
        self.expire()
        left = {balance.kind: balance.remaining for balance in self.quotas.list_balances("a", LIMITS)}
        most = max(0, 1000 - self.used - self.reserved)
        assert left[CALLS] == 5 - self.calls
        assert 0 <= left[TOKENS] <= 1000
        assert most <= left[TOKENS] + 1
        assert left[TOKENS] <= max(0, 1000 - self.reserved, 0)
        assert left[TOKENS] <= most + self.renewed

    def teardown(self) -> None:
        """Nothing is reserved any more when every call has ended."""
        for reservation in [*self.open, *self.expired]:
            self.settle_last(reservation)
        left = {balance.kind: balance.remaining for balance in self.quotas.list_balances("a", LIMITS)}
        assert left[CALLS] == 5
        assert max(0, 1000 - self.used) <= left[TOKENS] + 1
        super().teardown()

    def settle_last(self, reservation: Reservation) -> None:
        """Settles a reservation for which nothing was used."""
        self.expire()
        reservation.settle({})
        self.open.pop(reservation, None)


TestAccounting = Accounting.TestCase
TestAccounting.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
