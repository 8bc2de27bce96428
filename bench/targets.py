"""The ratios to reach, each from one interleaved run in production configuration."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.figures import Figure

Figures = Mapping[tuple[str, str, str], Figure]
"""The figures of a run by measure, service and name of the figure."""


@dataclass(frozen=True)
class Target:
    """A ratio, and how far it must go."""

    title: str
    build: Callable[[Figures], Figure]
    bound: float | None
    """None: the ratio is only shown."""
    is_upper: bool = True
    """Whether the ratio must be at most the bound, and not at least."""

    def is_met(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        if self.bound is None:
            return True
        return ratio <= self.bound if self.is_upper else ratio >= self.bound


def _ratio(measure: str, name: str, other: str) -> Callable[[Figures], Figure]:
    return _ratio_of_services(measure, name, "ours", other)


def _ratio_of_services(measure: str, name: str, service: str, other: str) -> Callable[[Figures], Figure]:
    return lambda figures: figures[measure, service, name].divide_by(figures[measure, other, name])


def _ratio_of_measures(measure: str, other: str, name: str) -> Callable[[Figures], Figure]:
    return lambda figures: figures[measure, "ours", name].divide_by(figures[other, "ours", name])


def _ratio_of_added_time(figures: Figures) -> Figure:
    """Returns what LiteLLM proxy adds to the time to the first token, to what we add."""
    direct = figures["first_token", "direct", "p50_ms"].values
    added = {
        service: Figure(
            tuple(
                time - alone
                for time, alone in zip(figures["first_token", service, "p50_ms"].values, direct, strict=True)
            )
        )
        for service in ("litellm_proxy", "ours")
    }
    return added["litellm_proxy"].divide_by(added["ours"])


_OWN_PROTOCOL: Final = ("groq", "deepseek", "mistral", "xai", "openrouter")
TARGETS: Final = (
    Target("CPU of a unary call, to the older build", _ratio("unary", "cpu_ms_per_request", "baseline"), 0.2, True),
    Target(
        "requests per CPU-second, to LiteLLM proxy",
        _ratio("unary", "requests_per_cpu_second", "litellm_proxy"),
        13,
        False,
    ),
    Target(
        "requests per CPU-second, to the grpc.aio echo", _ratio("unary", "requests_per_cpu_second", "echo"), 0.35, False
    ),
    Target(
        "CPU of the pipeline of a unary call, to a call of the grpc.aio echo",
        lambda figures: figures["pipeline", "ours", "cpu_us"].divide_by(
            figures["unary", "echo", "cpu_ms_per_request"].multiply_by(1000)
        ),
        75 / 185,
        True,
    ),
    Target(
        "CPU of a 200-chunk burst, to the older build", _ratio("burst", "cpu_ms_per_stream", "baseline"), 0.25, True
    ),
    Target(
        "burst chunks per CPU-second, to TensorZero",
        _ratio("burst", "chunks_per_cpu_second", "tensorzero"),
        2,
        False,
    ),
    Target(
        "burst chunks per CPU-second, to LiteLLM proxy",
        _ratio("burst", "chunks_per_cpu_second", "litellm_proxy"),
        100,
        False,
    ),
    *(
        Target(
            f"CPU of a burst through {prefix}/, to one through openai/",
            _ratio_of_measures(f"burst_{prefix}", "burst", "cpu_ms_per_stream"),
            1.3,
            True,
        )
        for prefix in _OWN_PROTOCOL
    ),
    *(
        Target(
            f"CPU of a burst through {prefix}/, to the older build",
            _ratio(f"burst_{prefix}", "cpu_ms_per_stream", "baseline"),
            0.1,
            True,
        )
        for prefix in ("anthropic", "gemini")
    ),
    Target("time to first token less the direct call's, LiteLLM proxy's to ours", _ratio_of_added_time, 12, False),
    Target(
        "100 streams opened at once: first token p99, to the grpc.aio echo", _ratio("wave", "p99_ms", "echo"), 3, True
    ),
    Target(
        "CPU a token of 100 paced streams, to the older build",
        _ratio("paced", "cpu_us_per_token", "baseline"),
        0.35,
        True,
    ),
    Target(
        "start to the first answered call, to LiteLLM proxy",
        _ratio("start", "seconds", "litellm_proxy"),
        0.5,
        True,
    ),
    Target("CPU of an agent step, to the older build", _ratio("agent_4", "cpu_ms_per_step", "baseline"), 0.35, True),
    Target("CPU a step, 32 agent steps to 4", _ratio_of_measures("agent_32", "agent_4", "cpu_ms_per_step"), 1.1, True),
    Target(
        "memory of one worker, LiteLLM proxy's to ours",
        lambda figures: figures["memory", "litellm_proxy", "megabytes"].divide_by(
            figures["memory", "ours", "megabytes"]
        ),
        2.5,
        False,
    ),
    *(
        Target(
            f"CPU of a {call} with its spans exported, to one without an exporter",
            _ratio_of_services(measure, name, "ours_traced", "ours"),
            None,
        )
        for call, measure, name in (
            ("unary call", "unary", "cpu_ms_per_request"),
            ("200-chunk burst", "burst", "cpu_ms_per_stream"),
        )
    ),
)
"""The rows of the table of targets."""
