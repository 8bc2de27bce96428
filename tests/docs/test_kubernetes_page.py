"""The page about Kubernetes names what the code and the chart have."""

import re
from typing import Final

import jsonschema
import pytest
import yaml

from reasoning_grpc.rpc.status import CODES
from scripts.chart import VERSIONS
from scripts.chart_files import CHART
from scripts.pages import ROOT, find_blocks, find_section, read_pages

PAGE: Final = read_pages()["docs/kubernetes.md"]
VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA: Final = yaml.safe_load((CHART / "values.schema.json").read_text("utf-8"))
ALERTS: Final = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8"))


def read_section(title: str) -> str:
    """Returns the text of a section of the page."""
    section = find_section(PAGE, title)
    assert section is not None
    return section


def test_the_runbook_has_every_reason() -> None:
    """Each reason of an error stands in one row of the runbook, which says what to do."""
    rows = re.findall(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \| [^|]+ \| [^|]+ \|$", read_section("Runbook"), re.MULTILINE)
    reasons = [reason for row in rows for reason in re.findall(r"`([A-Z_]+)`", row)]

    assert sorted(reasons) == sorted({error.reason for error in CODES} | {"INTERNAL"})


def test_every_alert_is_for_the_night_or_for_the_day() -> None:
    """The table has the alerts that page somebody, and the sentence below it all others."""
    table, _, rest = read_section("What to alert on").partition("\n\n`Reasoning")
    rules = {rule["alert"]: rule["labels"]["severity"] for group in ALERTS["groups"] for rule in group["rules"]}

    assert sorted(re.findall(r"`(Reasoning\w+)`", table)) == sorted(n for n, each in rules.items() if each == "page")
    assert sorted(re.findall(r"`(Reasoning\w+)`", "`Reasoning" + rest)) == sorted(
        name for name, each in rules.items() if each == "ticket"
    )


def test_the_example_of_values_is_valid() -> None:
    """The chart takes the values that the page shows."""
    values = yaml.safe_load(find_blocks(PAGE, "yaml")[0].text)

    jsonschema.validate(values, SCHEMA)
    assert "[callers.billing]" in values["config"]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]\w+(?:\.\w+)+)`", PAGE))))
def test_every_value_that_the_page_names_is_there(name: str) -> None:
    """A name with a point between backquotes is a value of the chart, a file, or a key of a Kubernetes object."""
    others = {"values.yaml", "values.schema.json", "reasoning_grpc.v1", "ca.crt"}
    value = VALUES
    if name not in others:
        for part in name.split("."):
            assert part in value, name
            value = value[part]


def test_the_versions_of_kubernetes_are_those_of_the_check() -> None:
    """The page names the versions whose schemas `make helm` tries."""
    [named] = re.findall(r"schemas of Kubernetes ([\d., and]+\d)\.\n", PAGE)

    assert tuple(re.findall(r"\d+\.\d+", named)) == VERSIONS


def test_the_autoscaler_asks_the_adapter_for_its_metric() -> None:
    """The rule for the adapter is about the metric that the chart's autoscaler reads."""
    rule = yaml.safe_load(find_blocks(PAGE, "yaml")[1].text)["rules"][0]

    assert rule["seriesQuery"].startswith(VALUES["autoscaling"]["callsInFlightMetric"] + "{")
