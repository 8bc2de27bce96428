"""Renders the Helm chart with Helm's own engine, and holds objects to Kubernetes' schemas.

Both come from packages that `make helm` installs below .tools: the engine of Helm 4 as a library, and the schemas of
each version of Kubernetes.
"""

import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

from scripts.chart_files import CHART
from scripts.pages import ROOT

PACKAGES: Final = ROOT / ".tools" / "helm"
RELEASE: Final = "reasoning-grpc"
NAMESPACE: Final = "models"
VERSIONS: Final = ("1.27", "1.30", "1.33", "1.35", "1.37")
"""The versions of Kubernetes whose schemas must accept every object: the oldest of the chart, and newer ones."""
WITHOUT_SCHEMA: Final = frozenset({"ServiceMonitor", "PrometheusRule"})
"""The kinds that are not Kubernetes' own, but those of the Prometheus operator."""

Tree = dict[str, Any]
Values = Mapping[str, Any]


class ChartError(Exception):
    """The chart refuses values, or an object is not valid; the message says why."""


def render_texts(values: Values, *, release: str = RELEASE) -> dict[str, str]:
    """Returns the texts that the templates render to, by the names of their files. Raises ChartError.

    The values are checked with the chart's schema before, as `helm install` does.
    """
    helm = _load("helm_python")
    try:
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(dict(values))
            rendered: Mapping[str, str] = chart.render(dict(values), name=release, namespace=NAMESPACE)
    except helm.HelmError as exc:
        raise ChartError(str(exc)) from exc
    return {Path(path).name: text for path, text in sorted(rendered.items()) if text.strip()}


def render_objects(values: Values, *, release: str = RELEASE) -> list[Tree]:
    """Returns the objects that the chart makes of these values. Raises ChartError."""
    texts = render_texts(values, release=release)
    return [item for name, text in texts.items() if name != "NOTES.txt" for item in read_objects(text)]


def read_objects(text: str) -> list[Tree]:
    """Returns the objects of a text in YAML. Raises ChartError where a key stands twice in a mapping."""
    return [document for document in yaml.load_all(text, Loader=_StrictLoader) if document is not None]


def lint(values: Values) -> list[str]:
    """Returns what Helm's linter says of the chart with these values, but for its notes."""
    report = _load("helm_python").lint(CHART, dict(values), strict=True, namespace=NAMESPACE)
    said = [f"{each['path']}: {each['error']}" for each in report["messages"] if each["severity"] != 1]
    return [*said, *report["errors"]]


def validate(item: Tree, version: str) -> None:
    """Holds an object to the schema of a version of Kubernetes, which has no further fields. Raises ChartError."""
    checker = _load("kubernetes_validate")
    try:
        checker.validate(item, version, strict=True)
    except checker.ValidationError as exc:
        where = ".".join(map(str, exc.path))
        raise ChartError(f"{item['kind']} {item['metadata']['name']}: {where}: {exc.message}") from exc
    except checker.SchemaNotFoundError as exc:
        raise ChartError(f"{item['kind']}: there is no schema of it in Kubernetes {version}") from exc


class _StrictLoader(yaml.SafeLoader):
    """Reads YAML, and refuses a key that stands twice, as Kubernetes does: YAML's own loader takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Returns the mapping. Raises ChartError."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise ChartError(f"the key {twice[0]} stands twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def _load(name: str) -> ModuleType:
    """Imports a package of `make helm`; what .venv has too is taken from there."""
    import importlib

    if str(PACKAGES) not in sys.path:
        sys.path.append(str(PACKAGES))
    return importlib.import_module(name)
