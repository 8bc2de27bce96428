"""Prints the figures and the targets of a run, and writes them as JSON."""

import json
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.targets import TARGETS, Figures


def print_report(figures: Figures) -> None:
    """Prints a table a measure, and the table of targets."""
    print("\n".join(_format_lines(figures)))


def write_json(figures: Figures, file: Path, *, command: str) -> None:
    """Writes all figures, the targets, and what they were measured on."""
    tree: dict[str, Any] = {}
    for (measure, service, name), figure in figures.items():
        tree.setdefault(measure, {}).setdefault(service, {})[name] = figure.to_json()
    targets = [
        {"title": target.title, "bound": target.bound, "is_upper": target.is_upper, **ratio.to_json()}
        for target in TARGETS
        if (ratio := _build_ratio(target.build, figures)) is not None
    ]
    machine = {"processor": _name_processor(), "python": platform.python_version(), "system": platform.platform()}
    summary = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": machine,
        "figures": tree,
        "targets": targets,
    }
    file.write_text(json.dumps(summary, indent=1) + "\n")


def _format_lines(figures: Figures) -> Iterator[str]:
    measures = dict.fromkeys(measure for measure, _, _ in figures)
    for measure in measures:
        rows = {key[1:]: figure for key, figure in figures.items() if key[0] == measure}
        names = list(dict.fromkeys(name for _, name in rows))
        yield f"\n{measure:24}" + "".join(f"{name:>26}" for name in names)
        for service in dict.fromkeys(service for service, _ in rows):
            cells = (rows.get((service, name)) for name in names)
            yield f"  {service:22}" + "".join(f"{'' if cell is None else _format_figure(cell):>26}" for cell in cells)
    yield f"\n{'ratio':72}{'measured':>24}{'target':>12}"
    for target in TARGETS:
        ratio = _build_ratio(target.build, figures)
        if ratio is None:
            continue
        bound = f"{'<=' if target.is_upper else '>='} {target.bound:g}"
        met = "met" if target.is_met(ratio.median) else "NOT MET"
        yield f"{target.title:72}{_format_figure(ratio):>24}{bound:>12}  {met}"


def _build_ratio(build: Any, figures: Figures) -> Figure | None:
    """Returns a ratio; None where a part of it was not measured in this run."""
    try:
        ratio: Figure = build(figures)
    except KeyError:
        return None
    return ratio if ratio.values else None


def _format_figure(figure: Figure) -> str:
    spread = f" ({_format_number(min(figure.values))}..{_format_number(max(figure.values))})"
    return _format_number(figure.median) + (spread if len(figure.values) > 1 else "")


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _name_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
