"""The chart makes valid objects with each of its options, with all of them, and with none."""

from typing import Any, Final

import pytest

from scripts.chart import VERSIONS, WITHOUT_SCHEMA, ChartError, lint, validate
from tests.support.chart import OFF, ON, OPTIONS, render

pytestmark = [pytest.mark.helm]

ALL: Final[dict[str, dict[str, Any]]] = {**OPTIONS, "the defaults": {}, "everything on": ON, "everything off": OFF}
KINDS: Final = {
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PrometheusRule",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
}


@pytest.mark.parametrize("name", ALL)
def test_the_linter_says_nothing(name: str) -> None:
    """Helm's linter has neither an error nor a warning for these values."""
    assert lint(ALL[name]) == []


@pytest.mark.parametrize("name", ALL)
def test_every_object_is_valid(name: str) -> None:
    """Each object has the fields of Kubernetes' schema of each version, and no others."""
    objects = [item for item in render(ALL[name]).values() if item["kind"] not in WITHOUT_SCHEMA]

    assert objects
    for version in VERSIONS:
        for item in objects:
            validate(item, version)


@pytest.mark.parametrize("name", ALL)
def test_every_object_has_its_place_and_its_labels(name: str) -> None:
    """Each object is in the namespace of the release, and carries the labels by which tools find it."""
    for title, item in render(ALL[name]).items():
        assert item["metadata"]["namespace"] == "models", title
        assert item["metadata"]["labels"].keys() >= {
            "helm.sh/chart",
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
            "app.kubernetes.io/version",
            "app.kubernetes.io/managed-by",
        }, title


def test_everything_on_makes_every_kind() -> None:
    """The values with everything on leave out no kind of object, and only two kinds have no schema of Kubernetes."""
    kinds = {item["kind"] for item in render(ON).values()}

    assert kinds == KINDS
    for item in render(ON).values():
        if item["kind"] in WITHOUT_SCHEMA:
            with pytest.raises(ChartError, match="there is no schema"):
                validate(item, VERSIONS[-1])


def test_everything_off_leaves_what_is_needed() -> None:
    """Without its options the chart makes a Deployment, its configuration and its two Services."""
    assert list(render(OFF)) == [
        "ConfigMap reasoning-grpc",
        "Deployment reasoning-grpc",
        "Service reasoning-grpc-headless",
        "Service reasoning-grpc",
    ]


def test_an_invalid_object_is_found() -> None:
    """A field that Kubernetes does not know fails, and so does a wrong type."""
    deployment = render()["Deployment reasoning-grpc"]
    unknown = {**deployment, "spec": {**deployment["spec"], "replica": 3}}
    wrong = {**deployment, "spec": {**deployment["spec"], "replicas": "three"}}

    for item in (unknown, wrong):
        with pytest.raises(ChartError, match="Deployment reasoning-grpc: spec"):
            validate(item, VERSIONS[0])


def test_a_long_name_of_a_release_fits() -> None:
    """Names of Services stay within 63 characters, and those of all objects differ."""
    names = [item["metadata"]["name"] for item in render(ON, release="r" * 53).values()]

    assert max(map(len, names)) <= 63
