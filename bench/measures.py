"""What is measured: each measure runs one order with one service, and returns its figures.

CPU time is that of the service's processes, so that the client and the mock upstream do not count.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

from bench import growth
from bench.figures import find_percentile
from bench.orders import Measure, MeasuredFigures, run_order
from bench.services import PREFIXES, Service


def measure_unary(service: Service, seconds: float) -> MeasuredFigures:
    """Measures unary calls, eight at once, and one at a time for their latency."""
    report, cpu = run_order(service, kind="unary", model="mock-1", concurrency=8, seconds=seconds)
    alone, _ = run_order(service, kind="unary", model="mock-1", concurrency=1, seconds=seconds / 2)
    return {
        "requests_per_cpu_second": report["calls"] / cpu,
        "cpu_ms_per_request": cpu / report["calls"] * 1e3,
        "p50_ms": find_percentile(alone["latencies"], 0.5),
        "p99_ms": find_percentile(alone["latencies"], 0.99),
    }


def measure_first_token(service: Service, seconds: float) -> MeasuredFigures:
    """Measures the time to the first token of streams, one at a time."""
    report, _ = run_order(service, kind="stream", model="mock-5-5", concurrency=1, seconds=seconds / 2)
    times = report["first_tokens"]
    return {"p50_ms": find_percentile(times, 0.5), "p99_ms": find_percentile(times, 0.99)}


def measure_burst(service: Service, seconds: float, model: str = "mock-200") -> MeasuredFigures:
    """Measures streams of 200 chunks that the upstream sends at once."""
    report, cpu = run_order(service, kind="stream", model=model, concurrency=4, seconds=seconds)
    return {
        "chunks_per_cpu_second": report["words"] / cpu,
        "cpu_ms_per_stream": cpu / report["calls"] * 1e3,
        "messages_per_stream": report["messages"] / report["calls"],
    }


def measure_paced(service: Service, _seconds: float) -> MeasuredFigures:
    """Measures 100 streams with a token every 20 ms."""
    report, cpu = run_order(
        service, kind="stream", model="mock-100-20", concurrency=100, calls=100, interval_seconds=0.02
    )
    delays = report["delays"]
    return {
        "delay_p50_ms": find_percentile(delays, 0.5),
        "delay_p99_ms": find_percentile(delays, 0.99),
        "cpu_us_per_token": cpu / report["words"] * 1e6,
    }


def measure_wave(service: Service, _seconds: float) -> MeasuredFigures:
    """Measures the first token of 100 streams that are opened at once."""
    report, _ = run_order(service, kind="stream", model="mock-5-5", concurrency=100, calls=100)
    times = report["first_tokens"]
    return {"p50_ms": find_percentile(times, 0.5), "p99_ms": find_percentile(times, 0.99)}


def measure_prefix(prefix: str) -> Callable[[Service, float], MeasuredFigures]:
    """Returns the measure of bursts through a prefix of litellm's."""
    return lambda service, seconds: measure_burst(service, seconds / 2, f"{prefix}:mock-200")


def measure_agent(steps: int) -> Callable[[Service, float], MeasuredFigures]:
    """Returns the measure of answers of the agent with this many steps, and the call that writes the answer."""

    def measure(service: Service, seconds: float) -> MeasuredFigures:
        report, cpu = run_order(
            service, kind="agent", model="mock-plan", concurrency=1, seconds=seconds / 2, steps=steps
        )
        return {"cpu_ms_per_step": cpu / report["words"] * 1e3}

    return measure


def measure_pipeline(service: Service, seconds: float) -> MeasuredFigures:
    """Measures the pipeline of a unary call, in a process of its own that has no gRPC and no wire."""
    environment = service.environment
    config = environment.folder / "ours.toml"
    command = [str(environment.ours), "-m", "bench.load.pipeline", str(config), str(seconds / 2)]
    ran = subprocess.run(
        command,
        check=True,
        env={**os.environ, "BENCH_KEY": "key"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    figures: MeasuredFigures = json.loads(ran.stdout)
    return figures


_OURS: Final = ("ours", "baseline")
_ALL: Final = (*_OURS, "litellm_proxy", "tensorzero", "echo")
_TRACED: Final = (*_ALL, "ours_traced")
MEASURES: Final[Mapping[str, Measure]] = {
    measure.name: measure
    for measure in (
        Measure("unary", _TRACED, measure_unary),
        Measure("pipeline", ("ours",), measure_pipeline),
        Measure("first_token", (*_ALL, "direct"), measure_first_token),
        Measure("burst", _TRACED, measure_burst),
        Measure("paced", _ALL[:-1], measure_paced),
        Measure("wave", _ALL, measure_wave),
        Measure("agent_4", _OURS, measure_agent(4)),
        Measure("agent_32", _OURS, measure_agent(32)),
        *(Measure(f"burst_{prefix}", _OURS, measure_prefix(prefix)) for prefix in PREFIXES),
        *growth.MEASURES,
    )
}
"""The measures by name, in the order in which they run."""
