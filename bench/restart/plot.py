"""Draws a run of restarts: `python -m bench.restart.plot RESTART.json RESTART.png`. It needs matplotlib."""

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

_SERIES: Final = (
    ("ok", "OK", "#4c72b0"),
    ("typed", "SERVER_SHUTTING_DOWN", "#dd8452"),
    ("bare", "any other failure", "#c44e52"),
)
_WIDTH_SECONDS: Final = 0.5


def draw(report: dict[str, Any], file: Path) -> None:
    """Draws the ended calls of each half second, and the slowest unary call of each, a panel for each phase."""
    phases = report["phases"]
    figure, axes = pyplot.subplots(len(phases), 1, figsize=(9, 2.2 * len(phases)), squeeze=False)
    for axis, (name, phase) in zip(axes[:, 0], phases.items(), strict=True):
        course = phase["course"]
        seconds, bottom = [each["seconds"] for each in course], [0.0] * len(course)
        for key, label, color in _SERIES:
            heights = [each[key] for each in course]
            axis.bar(seconds, heights, _WIDTH_SECONDS, bottom, align="edge", color=color, label=label)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        for at, event in phase["marks"]:
            axis.axvline(at, color="black" if event.startswith("signal") else "#55a868", linewidth=1)
        slowest = axis.twinx()
        slowest.plot(seconds, [each["slowest_unary_ms"] for each in course], color="#808080", linewidth=1)
        slowest.set_yscale("log")
        slowest.set_ylabel("slowest unary, ms", fontsize=8)
        axis.set_ylabel("calls ended in 0.5 s", fontsize=8)
        axis.set_title(name, fontsize=10, loc="left")
    axes[-1, 0].set_xlabel("seconds; black: a signal to a server, green: it serves again", fontsize=8)
    axes[0, 0].legend(fontsize=8, loc="upper right")
    figure.tight_layout()
    figure.savefig(file, dpi=80)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
