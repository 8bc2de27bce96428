"""Writes the report of a run as a table of Markdown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from bench.restart.load import OK

TITLES: Final[Mapping[str, str]] = {
    "restart": "rolling restart: SIGTERM to each in turn",
    "kill": "`kill -9` of each in turn",
    "slow": "one gets a fiftieth of a core for 20 s",
    "hang": "one hangs for 50 s (SIGSTOP)",
    "partition": "one is cut off for 50 s",
}
BALANCINGS: Final[Mapping[str, str]] = {
    "round_robin": "round robin",
    "health_checks": "with health checks",
    "envoy": "Envoy",
}
_HEAD: Final = (
    "fault",
    "balanced by",
    "unary calls, failed",
    "streams, failed",
    "in flight there, failed",
    "last failure after",
    "p99, longest unary call",
    "used again after",
)


def build_report(run: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of Markdown that say when and where a run was made, and what became of its calls."""
    machine = run["machine"]
    yield f"- **Command:** `{run['command']}`, on {run['date']}"
    yield f"- **Machine:** {machine['processor']}, {machine['system']}, Python {machine['python']}"
    yield f"- **Versions:** {', '.join(f'{name} {version}' for name, version in run['versions'].items())}"
    yield f"- **Addresses:** {run['addresses']}"
    yield f"- **Load, the same for each kind of balancing at the same time:** {run['load']}"
    yield ""
    yield from build_table(run["observations"])


def build_table(observations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields the table, with a row for each fault and each kind of balancing."""
    yield _join(_HEAD)
    yield "|---" * len(_HEAD) + "|"
    for row in observations:
        at_replica, failed, seconds = row["in_flight"], row["failed_in_flight"], row["unary_seconds"]
        yield _join(
            (
                TITLES[row["fault"]],
                BALANCINGS[row["balancing"]],
                _count_failures(row["calls"]["unary"]),
                _count_failures(row["calls"]["stream"]),
                f"{sum(at_replica.values())}, {sum(failed.values())}",
                _write_seconds(row["last_failure_seconds"]),
                f"{_write_seconds(seconds['p99'])}, {_write_seconds(seconds['max'])}",
                _write_seconds(row["used_again_seconds"]),
            )
        )


def _count_failures(outcomes: Mapping[str, int]) -> str:
    """Returns the number of calls, and how many of them failed in each way."""
    failures = [f"{count} `{outcome}`" for outcome, count in outcomes.items() if outcome != OK]
    return f"{sum(outcomes.values())}, {' and '.join(failures) if failures else '0'}"


def _write_seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f} s"


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
