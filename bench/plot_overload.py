"""Draws a run of `bench.overload`: `python -m bench.plot_overload FIGURES.json FIGURES.png`. It needs matplotlib."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def draw(summary: dict[str, Any], file: Path) -> None:
    """Draws the goodput and the times of what is admitted, by what is offered."""
    loads = sorted({row["load"] for row in summary["rows"]})
    figure, (rates, times) = pyplot.subplots(2, 1, figsize=(8, 7), sharex=True)
    for axis, name, label in (
        (rates, "goodput", "streams that end well"),
        (times, "p99_ms", "whole stream, p99"),
        (times, "first_token_p99_ms", "first token, p99"),
        (times, "refusal_p99_ms", "refusal, p99"),
    ):
        rows = [[row[name] for row in summary["rows"] if row["load"] == load] for load in loads]
        axis.plot(loads, [median(each) for each in rows], marker="o", label=label)
        axis.fill_between(loads, [min(each) for each in rows], [max(each) for each in rows], alpha=0.2)
    peak = max(median(row["goodput"] for row in summary["rows"] if row["load"] == load) for load in loads)
    rates.axhline(0.9 * peak, linestyle=":", color="grey", label="90 % of the peak")
    rates.set_ylabel("streams a second")
    rates.set_ylim(bottom=0)
    times.set_ylabel("ms")
    times.set_yscale("log")
    times.set_xlabel("offered load, as a multiple of the capacity")
    for axis in (rates, times):
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.suptitle(f"{summary['date']}, Python {summary['python']}, {summary['model']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
