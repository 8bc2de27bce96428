"""Draws a run of `bench.overload`: `python -m bench.plot_overload FIGURES.json FIGURES.png`. It needs matplotlib."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

_COLORS: Final = {"with admission": "#4c72b0", "without admission": "#c44e52"}


def draw(summary: dict[str, Any], file: Path) -> None:
    """Draws a column for each workload: goodput, and the p99 of what was not refused, by what is offered."""
    names = list(dict.fromkeys(row["workload"] for row in summary["rows"]))
    figure, axes = pyplot.subplots(2, len(names), figsize=(5.2 * len(names), 7), sharex=True, squeeze=False)
    for column, name in enumerate(names):
        rows = [row for row in summary["rows"] if row["workload"] == name]
        rates, times = axes[0, column], axes[1, column]
        for server in dict.fromkeys(row["server"] for row in rows):
            own = [row for row in rows if row["server"] == server]
            _draw_line(rates, own, "goodput", server)
            _draw_line(times, own, "p99_ms", server)
            if server == "with admission":
                _draw_line(times, own, "refusal_p99_ms", server, label="refusals", linestyle="--")
        peak = max(_list_medians([row for row in rows if row["server"] == "with admission"] or rows, "goodput"))
        rates.axhline(0.9 * peak, linestyle=":", color="grey", label="90 % of the peak with admission")
        rates.set_title(summary["workloads"][name]["description"], fontsize=10)
        rates.set_ylabel("answers within the deadline, a second")
        rates.set_ylim(bottom=0)
        times.axhline(
            summary["workloads"][name]["deadline_seconds"] * 1e3, linestyle=":", color="grey", label="deadline"
        )
        times.set_ylabel("p99 of calls that were not refused, ms")
        times.set_yscale("log")
        times.set_xlabel("offered load, as a multiple of the capacity")
        for axis in (rates, times):
            axis.legend(fontsize=8)
            axis.grid(alpha=0.3)
    figure.suptitle(f"{summary['date']}, Python {summary['python']}", fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=80)


def _draw_line(axis: Any, rows: list[dict[str, Any]], name: str, server: str, **options: Any) -> None:
    loads = sorted({row["load"] for row in rows if row[name]})
    values = [[row[name] for row in rows if row["load"] == load] for load in loads]
    color = _COLORS[server]
    options.setdefault("label", server)
    axis.plot(loads, [median(each) for each in values], marker="o", markersize=4, color=color, **options)
    axis.fill_between(loads, [min(each) for each in values], [max(each) for each in values], alpha=0.2, color=color)


def _list_medians(rows: list[dict[str, Any]], name: str) -> list[float]:
    return [median(row[name] for row in rows if row["load"] == load) for load in {row["load"] for row in rows}]


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
