"""The limits of a caller, and `CallerQuotas`: the port that knows how much of them is left."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct


class QuotaKind(StrEnum):
    """What a caller's limit counts. The value is the name in the trailers of a call."""

    REQUESTS = "requests"
    """Calls of our service, counted when they begin."""
    CALLS = "calls"
    """Calls of our service in flight."""
    TOKENS = "tokens"
    """Tokens of model calls, in and out."""
    COST = "usd"
    """The cost of model calls. Amounts are nano-dollars."""


class CallerLimits(Struct, frozen=True, kw_only=True):
    """The limits of a caller. None means that there is no such limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    calls_in_flight: int | None = None
    nano_usd_per_day: int | None = None

    def list_limits(self) -> list[tuple[QuotaKind, int]]:
        """Returns the limits that the caller has."""
        limits = (
            (QuotaKind.REQUESTS, self.requests_per_minute),
            (QuotaKind.CALLS, self.calls_in_flight),
            (QuotaKind.TOKENS, self.tokens_per_minute),
            (QuotaKind.COST, self.nano_usd_per_day),
        )
        return [(kind, limit) for kind, limit in limits if limit is not None]


OPTION_NAMES: Mapping[QuotaKind, str] = {
    QuotaKind.REQUESTS: "requests_per_minute",
    QuotaKind.CALLS: "calls_in_flight",
    QuotaKind.TOKENS: "tokens_per_minute",
    QuotaKind.COST: "usd_per_day",
}
"""The name of each limit in a caller's entry of the configuration."""


class Balance(Struct, frozen=True):
    """What is left of one limit."""

    kind: QuotaKind
    limit: int
    remaining: int
    renewed_after_seconds: float | None
    """The time after which the whole limit is there again. None for calls in flight, which come back as calls end."""


Amounts = Mapping[QuotaKind, int]
"""How much of each kind is reserved or was used. Kinds without a limit are ignored."""


class Reservation(Protocol):
    """Amounts that are reserved until they are settled."""

    def settle(self, used: Amounts) -> None:
        """Replaces what was reserved by what was used, which may be more. Only the first time has an effect."""
        ...


class CallerQuotas(Protocol):
    """Knows what callers have left of their limits, by their names.

    Requests are used as soon as they are reserved; all other kinds are held back until the reservation is settled. An
    implementation that replicas share waits for its store in `reserve` alone.
    """

    async def reserve(
        self, caller: str, limits: CallerLimits, amounts: Amounts, *, expires: bool = True
    ) -> Reservation:
        """Reserves all of these amounts, or none of them.

        A reservation that `expires` and is not settled in time is settled as if exactly its amounts had been used; what
        more is reported later still counts. Raises CallerLimitReached.
        """
        ...

    def list_balances(self, caller: str, limits: CallerLimits) -> Sequence[Balance]:
        """Returns what is left of each limit that the caller has."""
        ...


def format_amount(kind: QuotaKind, amount: int) -> str:
    """Returns an amount as callers read it: US dollars for a cost, a whole number for everything else."""
    if kind is not QuotaKind.COST:
        return str(amount)
    dollars, rest = divmod(amount, 1_000_000_000)
    return f"{dollars}.{rest:09}".rstrip("0").rstrip(".")
