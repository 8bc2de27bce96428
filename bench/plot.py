"""Draws the figures of a run: `python -m bench.plot FIGURES.json FIGURES.png`. It needs matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

_PANELS: Final = (
    ("unary", "requests_per_cpu_second", "unary calls per CPU-second"),
    ("burst", "chunks_per_cpu_second", "chunks of bursts per CPU-second"),
    ("first_token", "p50_ms", "time to first token, p50, ms"),
    ("paced", "delay_p99_ms", "delay of a token, 100 streams, p99, ms"),
    ("wave", "p99_ms", "first token of 100 streams at once, p99, ms"),
    ("memory", "megabytes", "memory, MB"),
)
_NAMES: Final = {
    "ours": "reasoning-grpc",
    "baseline": "reasoning-grpc, older build",
    "litellm_proxy": "LiteLLM proxy",
    "tensorzero": "TensorZero",
    "echo": "grpc.aio echo",
    "direct": "upstream itself",
}
_OWN: Final = ("ours", "baseline")


def draw(summary: dict[str, Any], file: Path) -> None:
    """Draws one panel a figure, with a bar a service, and the spread over the rounds."""
    panels = [panel for panel in _PANELS if panel[0] in summary["figures"]]
    figure, axes = pyplot.subplots(len(panels), 1, figsize=(8, 1.6 * len(panels)), squeeze=False)
    for axis, (measure, name, title) in zip(axes[:, 0], panels, strict=True):
        rows = summary["figures"][measure]
        services = [service for service in _NAMES if name in rows.get(service, {})]
        cells = [rows[service][name] for service in services]
        medians = [cell["median"] for cell in cells]
        spread = [
            [cell["median"] - cell["low"] for cell in cells],
            [cell["high"] - cell["median"] for cell in cells],
        ]
        colors = ["#4c72b0" if service in _OWN else "#a0a0a0" for service in services]
        axis.barh([_NAMES[service] for service in services], medians, xerr=spread, color=colors)
        axis.set_title(title, fontsize=10, loc="left")
        axis.invert_yaxis()
        axis.set_xscale("log")
        axis.set_xlim(right=axis.get_xlim()[1] * 2)  # room for the last number
        axis.xaxis.set_minor_formatter("")
        for row, median in enumerate(medians):
            axis.annotate(_format_number(median), (median, row), textcoords="offset points", xytext=(4, -3), fontsize=8)
    machine = summary["machine"]
    figure.suptitle(f"{summary['date']}, {machine['processor']}, Python {machine['python']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
