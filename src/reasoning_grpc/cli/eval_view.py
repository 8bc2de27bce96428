"""Shows a routing report to a person; nothing depends on colours."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from reasoning_grpc.cli.console import PipedConsole, remove_control_characters
from reasoning_grpc.evaluation import Calibration, Comparison, Interval, Latency, RoutingReport, Share, Verdict

_MAX_WRONG: Final = 20
_WIDTH: Final = 200
"""Wide enough for every table; without it rich would cut cells to 80 columns in a pipe."""
_FAILED: Final = "(failed)"
_NANO: Final = 1_000_000_000


def show_routing_report(report: RoutingReport) -> None:
    """Prints the report to standard output."""
    console = PipedConsole(highlight=False, markup=False, soft_wrap=True, width=_WIDTH)
    sections = [
        _build_accuracy_table(report),
        _build_routes_table(report),
        _build_confusion_table(report),
        _build_groups_table("decided by", report.sources),
        *([_build_groups_table("tag", report.tags)] if report.tags else []),
        *([_build_groups_table("language", report.languages)] if report.languages else []),
        *([_build_calibration_table(report.calibration)] if report.calibration else []),
        *([_build_comparison_table(report.comparison)] if report.comparison else []),
        *(_build_counts_table(title, counts) for title, counts in _reason_counts(report)),
        *([_build_latency_table(report)] if report.call_latency else []),
    ]
    for section in sections:
        console.print(section)
        console.print()
    tokens = _describe_tokens(report) if report.call_latency else []
    for line in (*tokens, *_describe_wrong(report.prompts)):
        console.print(Text(line))


def _build_accuracy_table(report: RoutingReport) -> Table:
    always, shuffled = report.controls.always_default, report.controls.shuffled
    table = _create_table(
        "of " + _format_prompts(report.accuracy.total), "right", "95 % interval", "router is better by", "p-value"
    )
    _add_row(
        table, "router", _format_percent(report.accuracy.share), _format_interval(report.accuracy.interval), "", ""
    )
    _add_row(
        table,
        f"always {always.route}",
        _format_percent(always.accuracy.share),
        _format_interval(always.accuracy.interval),
        f"{_format_points(always.gain.difference)} ({_format_interval(always.gain.interval, '+')})",
        _format_p_value(always.gain.p_value),
    )
    _add_row(
        table,
        "the router's answers, shuffled",
        _format_percent(shuffled.expected),
        _format_interval(shuffled.interval),
        _format_points(report.accuracy.share - shuffled.expected),
        _format_p_value(shuffled.p_value),
    )
    return table


def _build_routes_table(report: RoutingReport) -> Table:
    table = _create_table("route", "precision", "95 % interval", "recall", "95 % interval", "F1", "prompts")
    for route, figures in report.routes.items():
        f1 = "-" if figures.f1 is None else f"{figures.f1:.3f}"
        _add_row(
            table, route, *_format_share(figures.precision), *_format_share(figures.recall), f1, str(figures.support)
        )
    return table


def _build_confusion_table(report: RoutingReport) -> Table:
    columns = list(next(iter(report.confusion.values())))
    table = _create_table("expected \\ chosen", *columns, *([_FAILED] if report.failed else []))
    for expected, taken in report.confusion.items():
        failed = [str(report.failed.get(expected, 0))] if report.failed else []
        _add_row(table, expected, *map(str, taken.values()), *failed)
    return table


def _build_groups_table(title: str, groups: dict[str, Share]) -> Table:
    table = _create_table(title, "prompts", "right", "95 % interval")
    for name, share in groups.items():
        _add_row(table, name.lower().replace("_", " "), str(share.total), *_format_share(share))
    return table


def _build_calibration_table(calibration: Calibration) -> Table:
    error = f"confidence, calibration error {calibration.error * 100:.1f} points, Brier score {calibration.brier:.3f}"
    table = _create_table(error, "prompts", "mean", "right", "95 % interval")
    for each in calibration.bins:
        _add_row(
            table,
            f"{each.low * 100:.0f} to {each.high * 100:.0f} %",
            str(each.prompts),
            _format_percent(each.confidence),
            *_format_share(each.right),
        )
    return table


def _build_comparison_table(comparison: Comparison) -> Table:
    title = f"compared with the earlier run, {_format_prompts(comparison.prompts)}"
    table = _create_table(title, "better by", "95 % interval", "p-value")
    groups = {"all": comparison.overall, **comparison.tags, **comparison.languages}
    for name, difference in groups.items():
        interval, p_value = _format_interval(difference.interval, "+"), _format_p_value(difference.p_value)
        _add_row(table, name, _format_points(difference.difference), interval, p_value)
    return table


def _reason_counts(report: RoutingReport) -> Iterable[tuple[str, dict[str, int]]]:
    if report.failures:
        yield "failed calls, counted as wrong", report.failures
    if report.fallbacks:
        yield "fallbacks of the classifier", report.fallbacks


def _build_counts_table(title: str, counts: dict[str, int]) -> Table:
    table = _create_table(title, "prompts")
    for name, count in counts.items():
        _add_row(table, name, str(count))
    return table


def _build_latency_table(report: RoutingReport) -> Table:
    table = _create_table("milliseconds", "calls", "p50", "p90", "p99", "max")
    for name, latency in (("classifier", report.classifier_latency), ("whole call", report.call_latency)):
        if latency is not None:
            _add_row(table, name, str(latency.count), *_format_latency(latency))
    return table


def _format_latency(latency: Latency) -> list[str]:
    return [f"{seconds * 1000:.1f}" for seconds in (latency.p50, latency.p90, latency.p99, latency.max)]


def _describe_tokens(report: RoutingReport) -> list[str]:
    tokens = report.tokens
    if not tokens.decisions:
        return ["tokens: none reported"]
    about = "about " if tokens.estimated else ""
    models = ", ".join(map(remove_control_characters, report.classifier_models))
    used = f"tokens: {about}{tokens.input} in and {tokens.output} out, {_format_prompts(tokens.decisions)} ({models})"
    cost = "not known" if report.cost_nano_usd is None else f"{about}${report.cost_nano_usd / _NANO:.6f}"
    return [used, f"cost: {cost}"]


def _describe_wrong(verdicts: Sequence[Verdict]) -> list[str]:
    wrong = [verdict for verdict in verdicts if verdict.taken != verdict.expected]
    lines = [f"wrong: {len(wrong)}"] if wrong else []
    lines += [
        f"  {each.id}: {each.expected}, not {remove_control_characters(each.taken or _FAILED)}"
        for each in wrong[:_MAX_WRONG]
    ]
    if len(wrong) > _MAX_WRONG:
        lines.append(f"  and {len(wrong) - _MAX_WRONG} more; --json has all")
    return lines


def _create_table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(Text(first), no_wrap=True)
    for other in others:
        table.add_column(Text(remove_control_characters(other)), justify="right", no_wrap=True)
    return table


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(remove_control_characters(cell)) for cell in cells))


def _format_share(share: Share | None) -> tuple[str, str]:
    return ("-", "-") if share is None else (_format_percent(share.share), _format_interval(share.interval))


def _format_percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _format_points(difference: float) -> str:
    return f"{difference * 100:+.1f}"


def _format_interval(interval: Interval, sign: str = "") -> str:
    return f"{interval.low * 100:{sign}.1f} to {interval.high * 100:{sign}.1f}"


def _format_p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _format_prompts(count: int) -> str:
    return f"{count} prompt{'' if count == 1 else 's'}"
