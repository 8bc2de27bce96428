"""The chart makes valid objects with each of its options, with all of them, and with none."""

import re
from typing import Any, Final

import pytest

from scripts.chart import VERSIONS, WITHOUT_SCHEMA, ChartError, lint, read_objects, render_texts, validate
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


def test_labels_that_the_chart_has_do_not_stand_twice() -> None:
    """The chart's own labels and annotations win over those of the values, and none is written a second time."""
    name, team = "app.kubernetes.io/name", "team"
    values = {
        "labels": {name: "other", team: "all"},
        "podLabels": {name: "another", team: "pods"},
        "podAnnotations": {"checksum/config": "none"},
        "serviceMonitor": {"enabled": True, "labels": {name: "third", team: "monitor"}},
    }

    objects = render(values)

    template = objects["Deployment reasoning-grpc"]["spec"]["template"]["metadata"]
    assert {item["metadata"]["labels"][name] for item in objects.values()} == {"reasoning-grpc"}
    assert (template["labels"][name], template["labels"][team]) == ("reasoning-grpc", "pods")
    assert template["annotations"]["checksum/config"] != "none"
    assert objects["ServiceMonitor reasoning-grpc"]["metadata"]["labels"][team] == "monitor"
    assert objects["Service reasoning-grpc"]["metadata"]["labels"][team] == "all"


def test_a_key_that_stands_twice_is_found() -> None:
    """Helm's linter and YAML's own loader let such an object pass, and Kubernetes refuses it."""
    with pytest.raises(ChartError, match="the key a stands twice"):
        read_objects("data:\n  a: 1\n  a: 2\n")


def test_large_numbers_are_whole_numbers() -> None:
    """No number has an exponent, which Helm gives to the numbers of values from a million on."""
    million = 1_000_000
    values = {
        "replicas": million,
        "startupSeconds": million,
        "rollingUpdate": {"maxSurge": million, "minReadySeconds": million},
        "podDisruptionBudget": {"maxUnavailable": million},
        "envoy": {"enabled": True, "replicas": million, "memoryMiB": million},
        "topologySpread": [{"topologyKey": "zone", "maxSkew": million, "whenUnsatisfiable": "ScheduleAnyway"}],
    }
    autoscaling = {"enabled": True, "minReplicas": million, "maxReplicas": million, "callsInFlight": million}

    written = [*render_texts(values).values(), *render_texts({"autoscaling": autoscaling}).values()]

    assert [found for text in written for found in re.findall(r"\d[.\d]*e\+\d+", text)] == []
    assert str(million) in "".join(written)


def test_a_long_name_of_a_release_fits() -> None:
    """Names of Services stay within 63 characters, and those of all objects differ."""
    names = [item["metadata"]["name"] for item in render(ON, release="r" * 53).values()]

    assert max(map(len, names)) <= 63
