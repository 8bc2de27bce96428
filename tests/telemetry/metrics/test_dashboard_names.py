"""The dashboard and the alerts name metrics and labels that exist, and show every metric; no Prometheus is needed."""

import re
from typing import Any, Final

import pytest
import yaml

from reasoning_grpc.telemetry import FAMILIES, Family, Kind
from scripts.dashboard import read_panels
from scripts.pages import ROOT

FOLDER: Final = ROOT / "deploy" / "prometheus"
_SUFFIXES: Final = {Kind.COUNTER: ("_total",), Kind.GAUGE: ("",), Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
SERIES: Final = {family.prometheus_name + suffix: family for family in FAMILIES for suffix in _SUFFIXES[family.kind]}
"""Every name that a series can have."""
LABELS: Final = {label for family in FAMILIES for label in family.prometheus_label_names} | {"job", "instance", "le"}
_PREFIXES: Final = ("reasoning_grpc_", "gen_ai_", "rpc_", "http_", "process_")


def read_rules() -> list[dict[str, Any]]:
    """Returns the alert rules."""
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


EXPRESSIONS: Final = [
    pytest.param(query.expression, id=f"{panel.title}-{number}")
    for panel in read_panels()
    for number, query in enumerate(panel.queries)
] + [pytest.param(rule["expr"], id=rule["alert"]) for rule in read_rules()]


def find_names(expression: str) -> set[str]:
    """Returns the words of an expression that look like a metric or a label of ours, without quoted text."""
    words = re.findall(r"[a-z_][a-z_0-9]+", re.sub(r'"[^"]*"', "", expression), re.IGNORECASE)
    return {word for word in words if word.startswith(_PREFIXES)}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_name_in_a_query_exists(expression: str) -> None:
    """Each word is the name of a series or of a label."""
    assert find_names(expression) - SERIES.keys() - LABELS == set()


def test_every_metric_is_on_the_dashboard() -> None:
    """Whatever is counted can be seen."""
    used = {name for panel in read_panels() for query in panel.queries for name in find_names(query.expression)}
    shown: set[Family] = {SERIES[name] for name in used & SERIES.keys()}

    assert [family.name for family in FAMILIES if family not in shown] == []


def test_every_alert_is_tested_both_ways() -> None:
    """Each rule has a case in which it fires and one in which it stays quiet, and says what to do."""
    tests = yaml.safe_load((FOLDER / "alerts_test.yaml").read_text("utf-8"))["tests"]

    assert sorted(test["name"] for test in tests) == sorted(
        f"{rule['alert']} {what}" for rule in read_rules() for what in ("fires", "stays quiet")
    )
    for rule in read_rules():
        assert rule["labels"]["severity"] in {"page", "ticket"}, rule["alert"]
        assert rule["annotations"].keys() == {"summary", "action"}, rule["alert"]
