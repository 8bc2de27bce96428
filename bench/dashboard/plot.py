"""Draws the dashboard: `python -m bench.dashboard.plot DASHBOARD.json DASHBOARD.png`. It needs matplotlib."""

import json
import math
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

_COLUMNS: Final = 3
_MOST_NAMES: Final = 6
_UNITS: Final = {
    "ops": "a second",
    "s": "seconds",
    "short": "",
    "bytes": "megabytes",
    "currencyUSD": "US dollars",
    "percentunit": "cores",
    "percent": "percent",
}
_FACTORS: Final = {"bytes": 1e-6}


def draw(report: dict[str, Any], file: Path) -> None:
    """Draws every panel in the dashboard's order, three in a line; grey is the time in which an upstream failed."""
    lines = _arrange(report["panels"])
    figure, axes = pyplot.subplots(len(lines), _COLUMNS, figsize=(15, 2.1 * len(lines)), squeeze=False)
    for row, panels in zip(axes, lines, strict=True):
        for axis in row[len(panels) :]:
            axis.set_axis_off()
        for axis, panel in zip(row, panels, strict=False):
            _draw_panel(axis, panel, report)
    figure.tight_layout()
    figure.savefig(file, dpi=70)


def _arrange(panels: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Returns the panels by the lines in which they are drawn; a row of the dashboard begins a new line."""
    lines: list[list[dict[str, Any]]] = []
    for panel in panels:
        if not lines or len(lines[-1]) == _COLUMNS or lines[-1][0]["row"] != panel["row"]:
            lines.append([])
        lines[-1].append(panel)
    return lines


def _draw_panel(axis: Any, panel: dict[str, Any], report: dict[str, Any]) -> None:
    axis.axvspan(*report["fault"], color="#eeeeee")
    for number, line in enumerate(panel["lines"]):
        times = [at for at, _ in line["points"]]
        factor = _FACTORS.get(panel["unit"], 1.0)
        values = [value * factor if math.isfinite(value) else math.nan for _, value in line["points"]]
        axis.plot(times, values, linewidth=1, label=line["name"] if number < _MOST_NAMES else "_hidden")
    axis.set_title(f"{panel['row']}: {panel['title']}", fontsize=8, loc="left")
    axis.set_ylabel(_UNITS[panel["unit"]], fontsize=7)
    axis.set_xlim(0, report["seconds"])
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=6)
    if panel["lines"]:
        axis.legend(fontsize=5.5, loc="upper left", ncols=2, framealpha=0.6).set_in_layout(False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
