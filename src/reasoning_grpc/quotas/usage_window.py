"""How much a caller has used of one limit, by the algorithms of `throttled`: a minute that slides, or a day of UTC.

Each call of a caller with limits reads what counts several times, and adds to it once or twice. The library is asked
only when something is added. What it said then also says what counts later: only the time changes it.
"""

import time
from datetime import timedelta
from math import ceil
from typing import Final, Protocol

from throttled.rate_limiter import per_duration
from throttled.rate_limiter.fixed_window import FixedWindowRateLimiter
from throttled.rate_limiter.gcra import GCRARateLimiter
from throttled.store import MemoryStore

from reasoning_grpc.domain import QuotaKind, read_clock

_KEY: Final = "used"
"""The key of the only count in a store."""
_MINUTE: Final = timedelta(minutes=1)
_MINUTE_SECONDS: Final = 60.0
_DAY: Final = timedelta(days=1)
_DAY_SECONDS: Final = 86_400


class UsageWindow(Protocol):
    """What counts against one limit now. It may be more than the limit, because it is known only after the use."""

    limit: int

    def read(self) -> tuple[int, float]:
        """Returns what counts, and the seconds after which nothing of it counts any more."""
        ...

    def count(self) -> int:
        """Returns what counts. It changes nothing, so another thread may call it."""
        ...

    def add(self, amount: int) -> None:
        """Adds what was used."""
        ...

    def find_wait_seconds(self, amount: int) -> float:
        """Returns the seconds after which this much of what counts does not count any more."""
        ...


class SlidingMinute:
    """Renews a limit steadily, so that the whole of it is renewed in a minute: the generic cell rate algorithm.

    `throttled` refuses what exceeds the limit and then counts nothing of it, so this class holds that as a debt, which
    is paid first from what is renewed.
    """

    def __init__(self, limit: int) -> None:
        self._store = MemoryStore(options={"MAX_SIZE": 1})
        self._debt = 0
        self._renewed_at = 0.0
        """When all of the limit is there again, without the debt."""
        self.limit = limit

    @property
    def limit(self) -> int:
        """The limit; what counts keeps its share of the limit when it changes."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._limiter = GCRARateLimiter(per_duration(_MINUTE, limit), self._store)

    def read(self) -> tuple[int, float]:
        """See `UsageWindow.read`."""
        counting, seconds = self._read_counting()
        if self._debt and (paid := min(self._debt, self._limit - counting)) and self._take(paid):
            self._debt -= paid
            counting, seconds = self._read_counting()
        return counting + self._debt, seconds + self._find_seconds(self._debt)

    def count(self) -> int:
        """See `UsageWindow.count`."""
        return self._limit - self._limiter.peek(_KEY).remaining + self._debt

    def add(self, amount: int) -> None:
        """See `UsageWindow.add`."""
        if self._debt or not self._take(amount):
            self._debt += amount

    def find_wait_seconds(self, amount: int) -> float:
        """See `UsageWindow.find_wait_seconds`."""
        return self._find_seconds(amount)

    def _take(self, amount: int) -> bool:
        """Counts an amount, and returns whether it fits."""
        now = read_clock()
        result = self._limiter.limit(_KEY, amount)
        if result.limited:
            return False
        self._renewed_at = now + result.state.reset_after
        return True

    def _read_counting(self) -> tuple[int, float]:
        """Returns what counts without the debt, and the seconds after which nothing of it counts any more."""
        seconds = self._renewed_at - read_clock()
        return (ceil(seconds * self._limit / _MINUTE_SECONDS), seconds) if seconds > 0 else (0, 0.0)

    def _find_seconds(self, amount: int) -> float:
        return amount * _MINUTE_SECONDS / self._limit


class DayOfUtc:
    """Renews a limit at midnight, UTC, as a whole: a day's budget is never spent twice in a day."""

    def __init__(self, limit: int) -> None:
        self._store = MemoryStore(options={"MAX_SIZE": 2})  # today's count, and yesterday's until it is evicted
        self.limit = limit

    @property
    def limit(self) -> int:
        """The limit; what was used today still counts when it changes."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self._limiter = FixedWindowRateLimiter(per_duration(_DAY, limit), self._store)
        self._day = 0
        """The day of what is known to be used, counted from 1970; 0: nothing is known."""
        self._used = 0

    def read(self) -> tuple[int, float]:
        """See `UsageWindow.read`."""
        day, second = divmod(int(time.time()), _DAY_SECONDS)
        if day != self._day:
            self._day, self._used = day, self._limit - self._limiter.peek(_KEY).remaining
        return self._used, _DAY_SECONDS - second

    def count(self) -> int:
        """See `UsageWindow.count`."""
        return self._limit - self._limiter.peek(_KEY).remaining

    def add(self, amount: int) -> None:
        """See `UsageWindow.add`. `throttled` counts what exceeds the limit of a fixed window as well."""
        self._day = int(time.time()) // _DAY_SECONDS
        self._used = self._limit - self._limiter.limit(_KEY, amount).state.remaining

    def find_wait_seconds(self, _amount: int) -> float:
        """See `UsageWindow.find_wait_seconds`."""
        return self.read()[1]


class NothingUsed:
    """Counts nothing: a call that has ended is no call in flight."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def read(self) -> tuple[int, float]:
        """See `UsageWindow.read`."""
        return 0, 0.0

    def count(self) -> int:
        """See `UsageWindow.count`."""
        return 0

    def add(self, amount: int) -> None:
        """See `UsageWindow.add`."""

    def find_wait_seconds(self, _amount: int) -> float:
        """See `UsageWindow.find_wait_seconds`."""
        return 0.0


def build_window(kind: QuotaKind, limit: int) -> UsageWindow:
    """Builds the window in which a limit of this kind holds."""
    match kind:
        case QuotaKind.REQUESTS | QuotaKind.TOKENS:
            return SlidingMinute(limit)
        case QuotaKind.COST:
            return DayOfUtc(limit)
        case QuotaKind.CALLS:
            return NothingUsed(limit)
