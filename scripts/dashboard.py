"""Reads the panels of the Grafana dashboard, `deploy/grafana/reasoning-grpc.json`."""

import json
from dataclasses import dataclass
from typing import Final

from scripts.pages import ROOT

FILE: Final = ROOT / "deploy" / "grafana" / "reasoning-grpc.json"


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel."""

    expression: str
    """In PromQL, with the variables of the dashboard."""
    legend: str
    """The name of each line, with labels in double braces."""

    def bind(self, *, job: str, rate_interval: str) -> str:
        """Returns the expression with values for the variables, as Grafana fills them in."""
        return self.expression.replace("$__rate_interval", rate_interval).replace("$job", job)

    def name_line(self, labels: dict[str, str]) -> str:
        """Returns the name of the line with these labels."""
        name = self.legend
        for label, value in labels.items():
            name = name.replace(f"{{{{{label}}}}}", value)
        return name


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of the dashboard."""

    row: str
    title: str
    unit: str
    """The unit as Grafana names it, such as "s" or "ops"."""
    queries: tuple[Query, ...]


def read_panels() -> list[Panel]:
    """Returns the panels in their order."""
    panels, row = [], ""
    for panel in json.loads(FILE.read_text("utf-8"))["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
            continue
        queries = tuple(Query(target["expr"], target["legendFormat"]) for target in panel["targets"])
        panels.append(Panel(row, panel["title"], panel["fieldConfig"]["defaults"]["unit"], queries))
    return panels
