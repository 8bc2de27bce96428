"""The report of a soak: calls, injected faults, violations, and how memory, descriptors, threads and tasks grew."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.history.checker import Violation
from tests.history.records import History
from tests.history.sampling import Sample
from tests.history.slope import Slope, estimate_slope

LIMITS: Final = {"memory_mb": 1.0, "descriptors": 10.0, "threads": 10.0, "tasks": 10.0}
"""How much each may grow in an hour."""


@dataclass(slots=True)
class Report:
    """What a soak has seen so far."""

    warm_up_hours: float
    calls: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)
    stray_lines: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    def add(self, history: History, violations: Sequence[Violation], sample: Sample) -> None:
        """Adds a round."""
        self.calls.update(
            f"{call.plan.rpc.value}, {call.plan.mode.value}, {call.plan.turn.value}" for call in history.calls
        )
        self.outcomes.update(
            f"{call.code} {call.failure.reason if call.failure else ''}".strip() for call in history.calls
        )
        self.faults.update(each.plan.fault.value for exchanges in history.exchanges.values() for each in exchanges)
        self.violations += violations
        self.stray_lines.update(line.strip() for line in history.stray_lines)
        self.samples.append(sample)

    def estimate_slopes(self) -> dict[str, Slope | None]:
        """Returns how much each quantity grows in an hour, after the warm-up."""
        warm = [sample for sample in self.samples if sample.hours >= self.warm_up_hours]
        return {name: estimate_slope([(sample.hours, getattr(sample, name)) for sample in warm]) for name in LIMITS}

    def list_failures(self) -> Iterator[str]:
        """Yields why the soak is not passed."""
        if self.violations:
            yield f"{len(self.violations)} violations"
        for name, slope in self.estimate_slopes().items():
            if slope is None:
                yield f"too few samples for the slope of {name}"
            elif slope.value > LIMITS[name] and slope.low > 0:
                yield f"{name} grows by {slope.value:.2f} an hour, and may by {LIMITS[name]:g}"

    def write(self, file: Path, **facts: Any) -> None:
        """Writes everything as JSON, and beside it the lines that a person reads. A reader never sees half of it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        slopes = {name: slope and asdict(slope) for name, slope in self.estimate_slopes().items()}
        content = {
            **facts,
            "calls": dict(self.calls),
            "outcomes": dict(self.outcomes),
            "faults": dict(self.faults),
            "violations": [str(violation) for violation in self.violations],
            "stray_lines": dict(self.stray_lines),
            "slopes_per_hour": slopes,
            "failures": list(self.list_failures()),
            "samples": [asdict(sample) for sample in self.samples],
        }
        _replace_text(file, json.dumps(content, indent=1) + "\n")
        _replace_text(file.with_suffix(".txt"), "\n".join(self.lines()) + "\n")

    def lines(self) -> Iterator[str]:
        """Yields the lines that a person reads."""
        yield f"{self.calls.total()} calls: {_describe(self.calls)}"
        yield f"ended: {_describe(self.outcomes)}"
        yield f"{self.faults.total()} upstream requests: {_describe(self.faults)}"
        yield f"{len(self.violations)} violations"
        for line, count in self.stray_lines.most_common():
            yield f"{count} times beside the log: {line}"
        for name, slope in self.estimate_slopes().items():
            last = f"{getattr(self.samples[-1], name):g} now" if self.samples else "never sampled"
            grows = "too few samples" if slope is None else _describe_slope(slope)
            yield f"{name}: {last}; {grows}"
        if self.samples and (hours := self.samples[-1].hours):
            seconds, share = self.samples[-1].cpu_seconds, self.samples[-1].cpu_seconds / hours / 3600
            yield f"CPU of the server: {seconds * 1000 / self.calls.total():.2f} ms a call, {share:.0%} of a core"


def _replace_text(file: Path, text: str) -> None:
    written = file.with_name(f"{file.name}.part")
    written.write_text(text)
    written.replace(file)


def _describe(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.most_common())


def _describe_slope(slope: Slope) -> str:
    return f"{slope.value:+.2f} an hour (95 % confidence: {slope.low:+.2f} to {slope.high:+.2f})"
