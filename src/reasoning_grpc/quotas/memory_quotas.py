"""`MemoryQuotas`: the limits of callers, kept in the memory of one process and lost when it ends."""

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from reasoning_grpc.domain import (
    OPTION_NAMES,
    Amounts,
    Balance,
    CallerLimits,
    QuotaKind,
    Reservation,
    format_amount,
    read_clock,
)
from reasoning_grpc.domain.errors import CallerLimitReached

_RESERVATION_SECONDS: Final = 600.0
"""After this time a reservation expires. No call takes as long without having a cost."""
_RETRY_SECONDS: Final = (0.5, 1.5)
"""The least delay after a refusal is random between these. Nobody knows when a reservation of another call ends, and
callers that are refused together should not come back together."""


class _Meter:
    """What one caller has used and reserved of one limit."""

    __slots__ = ("_window", "kind", "reserved")

    def __init__(self, kind: QuotaKind, limit: int) -> None:
        # Most servers limit nobody, and need none of it: see `MemoryQuotas.load_algorithms`.
        from reasoning_grpc.quotas.usage_window import build_window

        self._window = build_window(kind, limit)
        self.kind = kind
        self.reserved = 0

    @property
    def limit(self) -> int:
        """The limit."""
        return self._window.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        if limit != self._window.limit:
            self._window.limit = limit

    def check(self, amount: int) -> None:
        """Raises CallerLimitReached when this much is not left. Nothing at all may always be reserved."""
        if not amount:
            return
        used, _ = self._window.read()
        missing = used + self.reserved + amount - self.limit
        if missing <= 0:
            return
        least = random.uniform(*_RETRY_SECONDS)
        raise CallerLimitReached(
            limit=OPTION_NAMES[self.kind],
            maximum=format_amount(self.kind, self.limit),
            retry_after_seconds=max(least, self._window.find_wait_seconds(min(missing, used))) if used else least,
        )

    def reserve(self, amount: int) -> None:
        """Reserves this much; requests are used at once."""
        if self.kind is QuotaKind.REQUESTS:
            self._window.add(amount)
        else:
            self.reserved += amount

    def settle(self, reserved: int, used: int) -> None:
        """Replaces what was reserved by what was used."""
        if self.kind is not QuotaKind.REQUESTS:
            self.reserved -= reserved
            self.add(used)

    def add(self, used: int) -> None:
        """Adds what was used."""
        if used > 0:
            self._window.add(used)

    def count(self) -> int:
        """Returns what is used and reserved. It changes nothing, so another thread may call it."""
        return self._window.count() + self.reserved

    def read_balance(self) -> Balance:
        """Returns what is left."""
        used, seconds = self._window.read()
        remaining = max(0, self.limit - used - self.reserved)
        return Balance(self.kind, self.limit, remaining, None if self.kind is QuotaKind.CALLS else max(0.0, seconds))


class _Reservation:
    """Amounts that one caller has reserved."""

    __slots__ = ("_charged", "_held", "_is_settled", "_open", "expires")

    def __init__(self, held: list[tuple[_Meter, int]], open_: "_OpenReservations", expires: float) -> None:
        self._held = held
        self._open = open_
        self._charged = False
        """Whether the amounts count as used, because the reservation has expired."""
        self._is_settled = False
        self.expires = expires
        """When it expires, in seconds of the clock."""

    def settle(self, used: Amounts) -> None:
        """See `Reservation.settle`."""
        if self._is_settled:
            return
        self._is_settled = True
        self._open.pop(self, None)
        for meter, amount in self._held:
            if self._charged:
                meter.add(used.get(meter.kind, 0) - amount)
            else:
                meter.settle(amount, used.get(meter.kind, 0))

    def expire(self) -> None:
        """Counts the amounts as used."""
        self._charged = True
        for meter, amount in self._held:
            meter.settle(amount, amount)


_OpenReservations = OrderedDict[_Reservation, None]


class MemoryQuotas:
    """Knows what callers have left of their limits. It implements `CallerQuotas`."""

    def __init__(
        self, clock: Callable[[], float] = read_clock, reservation_seconds: float = _RESERVATION_SECONDS
    ) -> None:
        """A reservation expires after `reservation_seconds` of `clock`."""
        self._clock = clock
        self._seconds = reservation_seconds
        self._meters: dict[str, dict[QuotaKind, _Meter]] = {}
        """The meters of each caller that ever made a call."""
        self._views: dict[str, tuple[CallerLimits, dict[QuotaKind, _Meter]]] = {}
        """The limits for which each caller was asked last, and the meters of these limits."""
        self._open = _OpenReservations()
        """The reservations that are not settled and will expire, the oldest first."""

    def load_algorithms(self) -> None:
        """Imports what limits need, so that no call waits for it. It takes a tenth of a second."""
        import reasoning_grpc.quotas.usage_window  # noqa: F401

    async def reserve(
        self, caller: str, limits: CallerLimits, amounts: Amounts, *, expires: bool = True
    ) -> Reservation:
        """See `CallerQuotas.reserve`."""
        now = self._clock()
        self._expire(now)
        meters = self._find_meters(caller, limits)
        held = [(meter, amount) for kind, amount in amounts.items() if (meter := meters.get(kind)) is not None]
        for meter, amount in held:
            meter.check(amount)
        for meter, amount in held:
            meter.reserve(amount)
        reservation = _Reservation(held, self._open, now + self._seconds)
        if expires:
            self._open[reservation] = None
        return reservation

    def list_balances(self, caller: str, limits: CallerLimits) -> Sequence[Balance]:
        """See `CallerQuotas.list_balances`."""
        self._expire(self._clock())
        return [meter.read_balance() for meter in self._find_meters(caller, limits).values()]

    def count_remaining(self, caller: str, limits: CallerLimits) -> Sequence[tuple[QuotaKind, int, int]]:
        """Returns each limit that the caller has, with its amount and what is left of it.

        It changes nothing, so another thread may call it.
        """
        meters = self._meters.get(caller, {})
        return [
            (kind, limit, limit if (meter := meters.get(kind)) is None else max(0, limit - meter.count()))
            for kind, limit in limits.list_limits()
        ]

    def _find_meters(self, caller: str, limits: CallerLimits) -> dict[QuotaKind, _Meter]:
        """Returns the meters of a caller with these limits. When the limits have changed, what it has used counts on.

        While calls that began with other limits are in progress, both are asked for in turn, so no meter is forgotten.
        """
        known = self._views.get(caller)
        if known is not None and known[0] is limits:
            return known[1]
        meters, view = self._meters.setdefault(caller, {}), dict[QuotaKind, _Meter]()
        for kind, limit in limits.list_limits():
            meter = meters.get(kind)
            if meter is None:
                meter = meters[kind] = _Meter(kind, limit)
            meter.limit = limit
            view[kind] = meter
        self._views[caller] = limits, view
        return view

    def _expire(self, now: float) -> None:
        """Ends the reservations that nobody has settled in time."""
        while self._open and (oldest := next(iter(self._open))).expires <= now:
            del self._open[oldest]
            oldest.expire()
