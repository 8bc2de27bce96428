"""A routing report as a person reads it; nothing depends on colours."""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from reasoning_grpc.cli.console import PipedConsole, harmless
from reasoning_grpc.evaluation.routing_report import Latency, RoutingReport, Share, Verdict
from reasoning_grpc.evaluation.statistics import Interval

_MOST_WRONG: Final = 20
_WIDTH: Final = 200
"""Tables take what they need of it; rich would else cut cells to 80 columns in a pipe."""
_FAILED: Final = "(failed)"
_NANO: Final = 1_000_000_000


def show_routing_report(report: RoutingReport) -> None:
    """Prints the report to standard output."""
    console = PipedConsole(highlight=False, markup=False, soft_wrap=True, width=_WIDTH)
    sections = [
        _accuracy(report),
        _routes(report),
        _confusion(report),
        _groups("decided by", report.sources),
        *([_groups("tag", report.tags)] if report.tags else []),
        *(_counts(title, counts) for title, counts in _reasons(report)),
        _latency(report),
    ]
    for section in sections:
        console.print(section)
        console.print()
    for line in (*_tokens(report), *_wrong(report.prompts)):
        console.print(Text(line))


def _accuracy(report: RoutingReport) -> Table:
    always, shuffled = report.controls.always_default, report.controls.shuffled
    table = _table("of " + _prompts(report.accuracy.total), "right", "95 % interval", "router is better by", "p-value")
    _row(table, "router", _percent(report.accuracy.share), _interval(report.accuracy.interval), "", "")
    _row(
        table,
        f"always {always.route}",
        _percent(always.accuracy.share),
        _interval(always.accuracy.interval),
        f"{_points(always.gain.difference)} ({_interval(always.gain.interval, '+')})",
        _p_value(always.gain.p_value),
    )
    _row(
        table,
        "the router's answers, shuffled",
        _percent(shuffled.expected),
        _interval(shuffled.interval),
        _points(report.accuracy.share - shuffled.expected),
        _p_value(shuffled.p_value),
    )
    return table


def _routes(report: RoutingReport) -> Table:
    table = _table("route", "precision", "95 % interval", "recall", "95 % interval", "F1", "prompts")
    for route, figures in report.routes.items():
        f1 = "-" if figures.f1 is None else f"{figures.f1:.3f}"
        _row(table, route, *_share(figures.precision), *_share(figures.recall), f1, str(figures.support))
    return table


def _confusion(report: RoutingReport) -> Table:
    columns = list(next(iter(report.confusion.values())))
    table = _table("expected \\ taken", *columns, *([_FAILED] if report.failed else []))
    for expected, taken in report.confusion.items():
        failed = [str(report.failed.get(expected, 0))] if report.failed else []
        _row(table, expected, *map(str, taken.values()), *failed)
    return table


def _groups(title: str, groups: dict[str, Share]) -> Table:
    table = _table(title, "prompts", "right", "95 % interval")
    for name, share in groups.items():
        _row(table, name.lower().replace("_", " "), str(share.total), *_share(share))
    return table


def _reasons(report: RoutingReport) -> Iterable[tuple[str, dict[str, int]]]:
    if report.failures:
        yield "failed calls, counted as wrong", report.failures
    if report.fallbacks:
        yield "fallbacks of the classifier", report.fallbacks


def _counts(title: str, counts: dict[str, int]) -> Table:
    table = _table(title, "prompts")
    for name, count in counts.items():
        _row(table, name, str(count))
    return table


def _latency(report: RoutingReport) -> Table:
    table = _table("milliseconds", "calls", "p50", "p90", "p99", "max")
    for name, latency in (("classifier", report.classifier_latency), ("whole call", report.call_latency)):
        if latency is not None:
            _row(table, name, str(latency.count), *_milliseconds(latency))
    return table


def _milliseconds(latency: Latency) -> list[str]:
    return [f"{seconds * 1000:.1f}" for seconds in (latency.p50, latency.p90, latency.p99, latency.max)]


def _tokens(report: RoutingReport) -> list[str]:
    tokens = report.tokens
    if not tokens.decisions:
        return ["tokens: none told"]
    about = "about " if tokens.estimated else ""
    models = ", ".join(map(harmless, report.classifier_models))
    used = f"tokens: {about}{tokens.input} in and {tokens.output} out, {_prompts(tokens.decisions)} ({models})"
    cost = "not known" if report.cost_nano_usd is None else f"{about}${report.cost_nano_usd / _NANO:.6f}"
    return [used, f"cost: {cost}"]


def _wrong(verdicts: Sequence[Verdict]) -> list[str]:
    wrong = [verdict for verdict in verdicts if verdict.taken != verdict.expected]
    lines = [f"wrong: {len(wrong)}"] if wrong else []
    lines += [f"  {each.id}: {each.expected}, not {harmless(each.taken or _FAILED)}" for each in wrong[:_MOST_WRONG]]
    if len(wrong) > _MOST_WRONG:
        lines.append(f"  and {len(wrong) - _MOST_WRONG} more; --json has all")
    return lines


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(Text(first), no_wrap=True)
    for other in others:
        table.add_column(Text(harmless(other)), justify="right", no_wrap=True)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(harmless(cell)) for cell in cells))


def _share(share: Share | None) -> tuple[str, str]:
    return ("-", "-") if share is None else (_percent(share.share), _interval(share.interval))


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _points(difference: float) -> str:
    return f"{difference * 100:+.1f}"


def _interval(interval: Interval, sign: str = "") -> str:
    return f"{interval.low * 100:{sign}.1f} to {interval.high * 100:{sign}.1f}"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _prompts(count: int) -> str:
    return f"{count} prompt{'' if count == 1 else 's'}"
