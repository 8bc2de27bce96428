"""`python -m tests.support.virtual_time`: runs orchestration with 200 random deadlines in virtual time.

Time passes only when nothing can run, and then at once, so the outcome does not depend on the machine. The clock of the
process is replaced before anything is imported that reads it: this module must be the first one that the process runs.
It prints the seconds that each run had left when its answer was complete, as JSON.
"""

import selectors
import sys
import time
from collections.abc import Sequence

_now = 1000.0


def _read_virtual_clock() -> float:
    return _now


class VirtualSelector(selectors.SelectSelector):
    """Waits for nothing: when no file is ready, the time for which it should wait is over at once."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """See `selectors.BaseSelector.select`."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing can run, and nothing is waited for")
        global _now  # noqa: PLW0603 - it is the clock of the process
        _now += max(0.0, timeout)
        return []


def main() -> None:
    """Runs everything, and prints the seconds that were left."""
    time.monotonic = _read_virtual_clock

    import asyncio
    import json

    from tests.support.deadline_runs import run_all

    async def run() -> Sequence[float]:
        left = await run_all()
        assert len(asyncio.all_tasks()) == 1
        return left

    loop = asyncio.SelectorEventLoop(VirtualSelector())
    sys.stdout.write(json.dumps(loop.run_until_complete(run())))
    loop.close()


if __name__ == "__main__":
    main()
