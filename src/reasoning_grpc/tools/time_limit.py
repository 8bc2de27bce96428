"""`TimeLimit`: the time that a tool call has."""

import asyncio


class TimeLimit:
    """The time of one call, which begins now. Progress renews its own limit within the absolute one."""

    def __init__(self, own_seconds: float, absolute_seconds: float | None) -> None:
        """`own_seconds` is the tool's own limit. None as the absolute limit means that nothing renews the own limit."""
        now = asyncio.get_running_loop().time()
        self._own_seconds = own_seconds
        self._absolute_end = now + (own_seconds if absolute_seconds is None else absolute_seconds)
        self.ends = min(now + own_seconds, self._absolute_end)
        """The time of the event loop's clock at which the call is stopped."""

    def left_seconds(self) -> float:
        """Returns the time that is left; 0 or less when the call must stop."""
        return self.ends - asyncio.get_running_loop().time()

    def renew(self) -> None:
        """Starts the tool's own limit again."""
        self.ends = min(asyncio.get_running_loop().time() + self._own_seconds, self._absolute_end)
