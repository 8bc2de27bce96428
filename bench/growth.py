"""How the cost of a call grows with its size: `GROWTHS` says what grows, `MEASURES` measures each size.

A cost is linear when a further unit costs the same at every size. So the figures are the whole costs of calls of
several sizes, and the cost of a further unit is the difference between two sizes, divided by the units between them.
What a call costs whatever its size drops out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from bench.figures import Figure
from bench.orders import Measure, Metered, run_order, warm_up
from bench.services import Service, start_ours
from bench.targets import Figures

MOST_RATIO: Final = 1.5
"""The most that a growth's last further cost may be, divided by the one before it.

A linear cost has the ratio 1. A quadratic one has 2 to 10 with these sizes, so it cannot hide below this bound,
which leaves room for the noise of differences, and for large calls, whose data leaves the processor's caches.
"""
_STREAMS: Final = (1, 10, 100, 500, 1000, 2000)
"""Up to 2,000, because the first hundreds fit into memory that the start has left free."""
_WAVES: Final = (100, 500, 1000)
_SLOW: Final = "mock-1000-500"
"""The model of streams that stay open: two tokens a second, for 500 seconds."""
_END_SECONDS: Final = 1.0
_WITHOUT_ADMISSION: Final = {
    "REASONING_MAX_CALLS_IN_FLIGHT": "4096",
    "REASONING_MAX_CALLS_PER_UPSTREAM": "4096",
    "REASONING_MAX_LOOP_LAG_SECONDS": "60",
}
_FEW: Final = 20
"""Streams that are opened at once while their memory is measured."""


@dataclass(frozen=True)
class Growth:
    """Something that grows, and the cost that must grow no faster."""

    measure: str
    unit: str
    cost: str
    """The name of the cost, with its unit; a figure is named by it and the size."""
    further_cost: str
    """The name of the cost of a further unit, with the unit of this cost."""
    scale: float
    """What converts a cost to the unit of the further cost."""
    sizes: tuple[int, ...]

    def find_costs(self, figures: Figures) -> list[Figure]:
        """Returns the cost of each size. Raises KeyError when it was not measured."""
        return [figures[self.measure, "ours", f"{self.cost} {size}"] for size in self.sizes]

    def find_further_costs(self, figures: Figures) -> list[Figure]:
        """Returns the cost of a further unit between each two sizes. Raises KeyError when it was not measured."""
        return [
            Figure(
                tuple(
                    (more - less) / (large - small) * self.scale
                    for less, more in zip(lower.values, higher.values, strict=True)
                )
            )
            for (small, lower), (large, higher) in pairwise(zip(self.sizes, self.find_costs(figures), strict=True))
        ]

    def find_ratio(self, figures: Figures) -> Figure:
        """Returns the last further cost divided by the one before it. Raises KeyError when it was not measured."""
        *_, middle, last = self.find_further_costs(figures)
        return last.divide_by(middle)

    def is_linear(self, figures: Figures) -> bool:
        """Whether the ratio is within its bound. Below zero, the noise was larger than the cost."""
        return 0 < self.find_ratio(figures).median <= MOST_RATIO


GROWTHS: Final = (
    Growth("growth_chunks", "chunk of an answer", "cpu_ms", "CPU in us", 1e3, (10, 200, 1000, 5000)),
    Growth("growth_prompt", "KB of a prompt", "cpu_ms", "CPU in us", 1e3, (1, 10, 100, 500, 1000)),
    Growth("growth_streams", "open stream", "memory_kb", "memory in KB", 1.0, _STREAMS),
    Growth("growth_streams", "stream opened at once", "opening_cpu_ms", "CPU in us", 1e3, _WAVES),
    Growth(
        "growth_streams",
        "open stream with two tokens a second",
        "open_cpu_ms",
        "CPU in us a second",
        1e3,
        _STREAMS[2:],
    ),
    Growth("growth_agent", "step of the agent", "cpu_ms", "CPU in us", 1e3, (1, 4, 16, 32)),
)
"""What grows. The table of a growth has its sizes as columns."""


def _measure_sizes(growth: Growth, order: Callable[[int], dict[str, Any]]) -> Measure:
    """Returns a measure of the CPU time of a call of each size."""

    def measure(service: Service, seconds: float) -> dict[str, float]:
        found = {}
        for size in growth.sizes:
            report, cpu = run_order(service, seconds=seconds / 2, **order(size))
            found[f"cpu_ms {size}"] = cpu / report["calls"] * 1e3
        return found

    return Measure(growth.measure, ("ours",), measure)


def measure_open_streams(service: Service, seconds: float) -> dict[str, float]:
    """Measures streams that are all open, in a process of their own, since memory that was used is kept.

    They are opened a few at a time, so that they and not their opening decide on the memory. Then streams are opened
    all at once, which a server with its usual limits would refuse in part.
    """
    fresh = start_ours(service.environment, "ours_streams", variables=_WITHOUT_ADMISSION)
    found = {}
    try:
        warm_up(fresh)
        for before, size in pairwise((0, *_STREAMS)):
            run_order(fresh, kind="open", model=_SLOW, calls=size - before, concurrency=_FEW)
            found[f"open_cpu_ms {size}"] = _read_cpu_a_second(fresh, seconds) * 1e3
            found[f"memory_kb {size}"] = fresh.process.read_memory_bytes() / 1e3
        _close(fresh, _STREAMS[-1])
        for size in _WAVES:
            started = time.monotonic()
            _, cpu = run_order(fresh, kind="open", model=_SLOW, calls=size, concurrency=size)
            # On average half of the streams were open meanwhile, and brought tokens.
            tokens_cpu = found[f"open_cpu_ms {size}"] * (time.monotonic() - started) / 2
            found[f"opening_cpu_ms {size}"] = cpu * 1e3 - tokens_cpu
            _close(fresh, size)
    finally:
        fresh.stop()
    return found


def _read_cpu_a_second(service: Service, seconds: float) -> float:
    started, meter = time.monotonic(), Metered(service.process)
    time.sleep(max(seconds, 1))
    return meter.read() / (time.monotonic() - started)


def _close(service: Service, size: int) -> None:
    """Closes the streams, and lets the service end them. Raises RuntimeError when one had ended."""
    report, _ = run_order(service, kind="close")
    if report["calls"] != size:
        raise RuntimeError(f"of {size} streams, {report['calls']} stayed open")
    time.sleep(_END_SECONDS)


MEASURES: Final[Sequence[Measure]] = (
    _measure_sizes(GROWTHS[0], lambda size: {"kind": "stream", "model": f"mock-{size}", "concurrency": 4}),
    _measure_sizes(
        GROWTHS[1], lambda size: {"kind": "unary", "model": "mock-1", "concurrency": 4, "prompt_bytes": size * 1000}
    ),
    Measure("growth_streams", ("ours",), measure_open_streams),
    _measure_sizes(GROWTHS[-1], lambda size: {"kind": "agent", "model": "mock-plan", "concurrency": 1, "steps": size}),
)
"""The measures of the growths, in the order in which they run."""
