"""`read_clock`: the clock of deadlines, timers and durations."""

import time
from typing import Final

read_clock: Final = time.monotonic
"""Returns seconds of the clock of asyncio's event loops, whose own method only passes it on.

Their documentation says no more than that it is monotonic, so a test compares the two. A loop with another clock, such
as uvloop's, would need another function here.
"""
