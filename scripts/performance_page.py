"""`make performance-page`: writes the figures of the last run of `make bench` into docs/performance.md.

A part of the page between two comments comes from build/bench/figures.json, and the plot beside it is copied to
docs/images. Everything else on the page is written by hand.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "performance.md"
PLOT: Final = ROOT / "docs" / "images" / "performance.png"
RUN: Final = ROOT / "build" / "bench" / "figures.json"
SERVICES: Final[Mapping[str, str]] = {
    "ours": "reasoning-grpc",
    "ours_traced": "with traces exported",
    "baseline": "older build",
    "litellm_proxy": "LiteLLM proxy",
    "tensorzero": "TensorZero",
    "echo": "grpc.aio echo",
    "direct": "upstream itself",
}
"""The titles of the services, in the order of the columns."""
_FIGURES: Final = (
    ("unary", "requests_per_cpu_second", "unary calls per CPU-second"),
    ("unary", "cpu_ms_per_request", "CPU of a unary call, ms"),
    ("pipeline", "cpu_us", "CPU of the pipeline of a unary call, us"),
    ("pipeline", "border_cpu_us", "CPU of the interceptor around it, us"),
    ("unary", "p50_ms", "unary call, one at a time, p50, ms"),
    ("unary", "p99_ms", "unary call, one at a time, p99, ms"),
    ("first_token", "p50_ms", "time to the first token, p50, ms"),
    ("burst", "chunks_per_cpu_second", "chunks of bursts per CPU-second"),
    ("burst", "cpu_ms_per_stream", "CPU of a 200-chunk burst, ms"),
    ("burst", "messages_per_stream", "messages of a 200-chunk burst"),
    ("paced", "cpu_us_per_token", "CPU a token of 100 paced streams, us"),
    ("paced", "delay_p50_ms", "delay of a token of 100 paced streams, p50, ms"),
    ("paced", "delay_p99_ms", "delay of a token of 100 paced streams, p99, ms"),
    ("wave", "p99_ms", "first token of 100 streams opened at once, p99, ms"),
    ("agent_4", "cpu_ms_per_step", "CPU of an agent's step, of 4, ms"),
    ("agent_32", "cpu_ms_per_step", "CPU of an agent's step, of 32, ms"),
    ("start", "seconds", "start to the first answered call, s"),
    ("memory", "megabytes", "memory of one worker after the load, MB"),
)
_COSTS: Final = {
    "cpu_ms": ("CPU of a call, ms", "CPU of a call by its size, us"),
    "opening_cpu_ms": ("CPU of opening all, ms", "CPU a stream, us"),
    "open_cpu_ms": ("CPU in a second, ms", "CPU a stream in a second, us"),
    "memory_kb": ("memory of the process, KB", None),
}
"""The titles of a growth's costs, and of the costs divided by the sizes; None: this says nothing."""
_LARGEST: Final = 10
_ABSENT: Final = "-"
_LEFT_OUT: Final = "The run left this out."

Run = Mapping[str, Any]


def replace_parts(page: str, run: Run) -> str:
    """Returns the page with the parts that come from a run. Raises ValueError when the page lacks a part."""
    for name, build in PARTS.items():
        found = re.findall(rf"<!-- {name}: [^\n]*-->\n(.*?)<!-- end of {name} -->", page, re.DOTALL)
        if len(found) != 1:
            raise ValueError(f"the page must have the part {name} once")
        end = f"<!-- end of {name} -->"
        page = page.replace(found[0] + end, "\n".join(["", *build(run), "", end]))
    return page


def build_machine(run: Run) -> Iterator[str]:
    """Yields when, where and by which command the figures were measured."""
    machine = run["machine"]
    yield f"- **Command:** `{run['command']}`"
    yield f"- **Date:** {run['date']}"
    yield f"- **Machine:** {machine['processor']}, {machine['system']}, Python {machine['python']}"
    yield f"- **Peers:** {', '.join(f'`{peer}`' for peer in run['peers'] if not peer.startswith('matplotlib'))}"
    yield f"- **Older build:** commit {run['older_build']} of this repository"
    rounds = max((len(target["values"]) for target in run["targets"]), default=1)
    yield f"- **Rounds:** {rounds}{'' if rounds > 1 else ', so nothing here says how much the figures vary'}"
    shares = [figures["busy_share"]["high"] for figures in run["figures"].get("mock", {}).values()]
    if shares:
        yield (
            f"- **Mock upstream:** busy for at most {max(shares):.1%} of the time of any measure, so it was never what "
            "limited a service"
        )


def build_targets(run: Run) -> Iterator[str]:
    """Yields the table of the ratios to reach."""
    yield _join("ratio", "measured", "lowest to highest", "target", "met")
    yield "|---|---|---|---|---|"
    for target in run["targets"]:
        bound, met = _ABSENT, _ABSENT
        if target["bound"] is not None:
            bound = f"{'at most' if target['is_upper'] else 'at least'} {target['bound']:g}"
            met = "yes" if target["is_met"] else "**no**"
        spread = f"{format_number(target['low'])} to {format_number(target['high'])}"
        yield _join(target["title"], format_number(target["median"]), spread, bound, met)


def build_figures(run: Run) -> Iterator[str]:
    """Yields the table of the figures, with one column a service."""
    figures = run["figures"]
    services = [name for name in SERVICES if any(name in figures.get(measure, {}) for measure, _, _ in _FIGURES)]
    yield _join("figure", *(SERVICES[name] for name in services))
    yield "|---" * (len(services) + 1) + "|"
    for measure, figure, title in _FIGURES:
        cells = [figures.get(measure, {}).get(name, {}).get(figure) for name in services]
        if any(cells):
            yield _join(title, *(format_number(cell["median"]) if cell else _ABSENT for cell in cells))


def build_growths(run: Run) -> Iterator[str]:
    """Yields a table for each cost that grows, with one column a size."""
    if not run["growths"]:
        yield _LEFT_OUT
    for number, growth in enumerate(run["growths"]):
        if number:
            yield ""
        sizes, costs = growth["sizes"], [cost["median"] for cost in growth["costs"]]
        further = [cost["median"] for cost in growth["further_costs"]]
        whole_title, unit_title = _COSTS[growth["cost"]]
        yield _join(growth["unit"], *(f"{size:,}" for size in sizes))
        yield "|---" * (len(sizes) + 1) + "|"
        yield _join(whole_title, *map(format_number, costs))
        if unit_title:
            yield _join(
                unit_title, *(format_number(cost / size * 1e3) for cost, size in zip(costs, sizes, strict=True))
            )
        yield _join(f"{growth['further_cost']} of one more", _ABSENT, *map(format_number, further))
        ratio = growth["ratio"]
        verdict = "no faster than linear" if growth["is_linear"] else "**not shown to be linear**"
        yield ""
        yield (
            f"The last cost of one more is {format_number(ratio['median'])} times the one before it "
            f"({format_number(ratio['low'])} to {format_number(ratio['high'])}; "
            f"at most {growth['bound']:g}): {verdict}."
        )


def build_costs(run: Run) -> Iterator[str]:
    """Yields the table of the ten largest costs of a unary call in the older build and in this one."""
    profiles = run["profiles"]
    if not {"baseline", "ours"} <= set(profiles):
        yield _LEFT_OUT
        return
    before, after = profiles["baseline"], profiles["ours"]
    largest = [*_list_largest(before), *_list_largest(after)]
    layers = sorted(dict.fromkeys(largest), key=lambda layer: -before["shares"].get(layer, 0.0))
    yield _join("layer", "before, us", "share", "after, us", "share")
    yield "|---|---|---|---|---|"
    yield _join(
        "a unary call",
        format_number(before["cpu_us_per_call"]),
        "100%",
        format_number(after["cpu_us_per_call"]),
        "100%",
    )
    for layer in layers:
        yield _join(layer, *_describe_cost(before, layer), *_describe_cost(after, layer))
    yield ""
    yield f"Samples: {before['samples']:,} before, {after['samples']:,} after."


def format_number(value: float) -> str:
    """Returns a number with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def main() -> int:
    """Writes the page and copies the plot; returns 1 without a run."""
    if not RUN.exists():
        print(f"performance page: {RUN} is not there; `make bench` writes it", file=sys.stderr)
        return 1
    PAGE.write_text(replace_parts(PAGE.read_text("utf-8"), json.loads(RUN.read_text("utf-8"))), "utf-8")
    shutil.copyfile(RUN.with_suffix(".png"), PLOT)
    return 0


def _list_largest(profile: Run) -> Sequence[str]:
    shares = profile["shares"]
    return sorted(shares, key=lambda layer: -shares[layer])[:_LARGEST]


def _describe_cost(profile: Run, layer: str) -> tuple[str, str]:
    share = profile["shares"].get(layer, 0.0)
    return format_number(share * profile["cpu_us_per_call"]), f"{share:.1%}"


def _join(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


PARTS: Final[Mapping[str, Callable[[Run], Iterator[str]]]] = {
    "machine": build_machine,
    "targets": build_targets,
    "figures": build_figures,
    "growths": build_growths,
    "costs": build_costs,
}
"""What writes each part of the page."""


if __name__ == "__main__":
    sys.exit(main())
