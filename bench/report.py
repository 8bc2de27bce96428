"""Prints the figures and the targets of a run, and writes them as JSON."""

import json
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import Figure
from bench.growth import GROWTHS, MOST_RATIO
from bench.profiler import Profile
from bench.setup import BASELINE, PEERS
from bench.targets import TARGETS, Figures


def print_report(figures: Figures, profiles: Mapping[str, Profile]) -> None:
    """Prints a table a measure, the table of targets, how costs grow, and where the CPU time of a call goes."""
    print("\n".join(_format_lines(figures)))
    print("\n".join(_format_growths(figures)))
    print("\n".join(_format_profiles(profiles)))


def write_json(figures: Figures, profiles: Mapping[str, Profile], file: Path, *, command: str) -> None:
    """Writes all figures, the targets, the growths and the profiles, and what they were measured on."""
    tree: dict[str, Any] = {}
    for (measure, service, name), figure in figures.items():
        tree.setdefault(measure, {}).setdefault(service, {})[name] = figure.to_json()
    targets = [
        {
            "title": target.title,
            "bound": target.bound,
            "is_upper": target.is_upper,
            "is_met": target.is_met(ratio.median),
            **ratio.to_json(),
        }
        for target in TARGETS
        if (ratio := _build_ratio(target.build, figures)) is not None
    ]
    summary = {
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": describe_machine(),
        "figures": tree,
        "targets": targets,
        "growths": list(_build_growths(figures)),
        "profiles": {name: profile.to_json() for name, profile in profiles.items()},
        "peers": [*PEERS, f"grpcio=={version('grpcio')}"],
        "older_build": BASELINE,
    }
    file.write_text(json.dumps(summary, indent=1) + "\n")


def describe_machine() -> dict[str, str]:
    """Returns the names of the processor, of Python's version and of the system."""
    return {"processor": _name_processor(), "python": platform.python_version(), "system": _name_system()}


def _format_lines(figures: Figures) -> Iterator[str]:
    growths = {growth.measure for growth in GROWTHS}
    measures = dict.fromkeys(measure for measure, _, _ in figures if measure not in growths)
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
        bound, met = "", ""
        if target.bound is not None:
            bound = f"{'<=' if target.is_upper else '>='} {target.bound:g}"
            met = "met" if target.is_met(ratio.median) else "NOT MET"
        yield f"{target.title:72}{_format_figure(ratio):>24}{bound:>12}  {met}"


def _format_growths(figures: Figures) -> Iterator[str]:
    for growth in _build_growths(figures):
        costs, further = (
            [_format_number(cost["median"]) for cost in growth[name]] for name in ("costs", "further_costs")
        )
        yield f"\n{growth['unit']:48}" + "".join(f"{size:>12,}" for size in growth["sizes"])
        yield f"  {growth['cost']:46}" + "".join(f"{cost:>12}" for cost in costs)
        yield f"  {growth['further_cost'] + ' of one more':46}" + "".join(f"{cost:>12}" for cost in ("", *further))
        ratio, bound = growth["ratio"]["median"], f"<= {growth['bound']:g}"
        met = "met" if growth["is_linear"] else "NOT MET"
        yield f"{'  the last of these to the one before':72}{_format_number(ratio):>24}{bound:>12}  {met}"


def _build_growths(figures: Figures) -> Iterator[dict[str, Any]]:
    """Yields, for each growth that was measured, its costs, the costs of a further unit, and their ratio, as JSON."""
    for growth in GROWTHS:
        if not any(measure == growth.measure for measure, _, _ in figures):
            continue
        yield {
            "unit": growth.unit,
            "cost": growth.cost,
            "further_cost": growth.further_cost,
            "sizes": list(growth.sizes),
            "costs": [figure.to_json() for figure in growth.find_costs(figures)],
            "further_costs": [figure.to_json() for figure in growth.find_further_costs(figures)],
            "ratio": growth.find_ratio(figures).to_json(),
            "bound": MOST_RATIO,
            "is_linear": growth.is_linear(figures),
        }


def _format_profiles(profiles: Mapping[str, Profile]) -> Iterator[str]:
    for name, profile in profiles.items():
        yield f"\nCPU of a unary call, {name}: {profile.cpu_us_per_call:,.0f} us"
        for layer, share in profile.find_largest():
            yield f"  {layer:60}{share:>8.1%}{share * profile.cpu_us_per_call:>10,.0f} us"


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


def _name_system() -> str:
    """Returns the system and the number of its release, without what its builder has added."""
    return f"{platform.system()} {platform.release().partition('-')[0]}"


def _name_processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()
