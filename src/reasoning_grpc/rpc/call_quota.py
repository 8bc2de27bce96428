"""`CallQuota`: what one call takes of its caller's limits: a request, and a place among the calls in flight."""

from typing import Final

from reasoning_grpc.domain import (
    Amounts,
    CallerLimits,
    CallerQuotas,
    QuotaKind,
    Reservation,
    format_amount,
)

_TRAILERS: Final = {
    kind: (f"x-ratelimit-limit-{kind}", f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}")
    for kind in QuotaKind
}
_ONE_CALL: Final[Amounts] = {QuotaKind.CALLS: 1, QuotaKind.REQUESTS: 1}
_NOTHING: Final[Amounts] = {}


class CallQuota:
    """What one call takes of its caller's limits, until it ends."""

    __slots__ = ("_caller", "_limits", "_quotas", "_reservation")

    def __init__(self, quotas: CallerQuotas, caller: str, limits: CallerLimits) -> None:
        self._quotas = quotas
        self._caller = caller
        self._limits = limits
        self._reservation: Reservation | None = None

    async def begin(self) -> None:
        """Counts the call. Raises CallerLimitReached."""
        self._reservation = await self._quotas.reserve(self._caller, self._limits, _ONE_CALL, expires=False)

    def end(self) -> None:
        """Records that the call has ended, whether or not it was counted."""
        if self._reservation is not None:
            self._reservation.settle(_NOTHING)

    def list_trailers(self) -> tuple[tuple[str, str], ...]:
        """Returns the trailers that say what is left of each limit."""
        trailers: list[tuple[str, str]] = []
        for balance in self._quotas.list_balances(self._caller, self._limits):
            kind = balance.kind
            limit, remaining, reset = _TRAILERS[kind]
            trailers.append((limit, format_amount(kind, balance.limit)))
            trailers.append((remaining, format_amount(kind, balance.remaining)))
            if balance.renewed_after_seconds is not None:
                trailers.append((reset, f"{balance.renewed_after_seconds:.3f}"))
        return tuple(trailers)
