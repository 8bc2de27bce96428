"""`Cooldowns`: keeps calls away from an upstream that limits their rate, for as long as it asks for."""

from collections.abc import Callable

from reasoning_grpc.domain.errors import UpstreamRateLimited


class Cooldowns:
    """The cooldowns of one upstream. Each key has its own, because a provider counts the calls of a key."""

    def __init__(self, max_seconds: float, clock: Callable[[], float]) -> None:
        """No cooldown is longer than this; `clock` returns seconds of a monotonic clock."""
        self._max_seconds = max_seconds
        self._clock = clock
        self.ends: dict[str, float] = {}
        """When a cooldown ends, by the owner of its key; only this class changes it. Empty: there is none."""

    def begin(self, key_owner: str, seconds: float) -> float:
        """Begins the cooldown of a key, or extends the one that it has; returns how long it lasts, in seconds.

        A refusal that asks for less never shortens it, because the answers of calls in progress come in any order.
        """
        now = self._clock()
        ends = max(now + min(seconds, self._max_seconds), self.ends.get(key_owner, now))
        self.ends[key_owner] = ends
        return ends - now

    def check(self, key_owner: str, model: str) -> None:
        """Raises UpstreamRateLimited, which names this model, during the cooldown of a key."""
        ends = self.ends.get(key_owner)
        if ends is None:
            return
        if (wait := ends - self._clock()) > 0:
            raise UpstreamRateLimited(model=model, retry_after_seconds=wait, is_upstream_reached=False)
        del self.ends[key_owner]
