"""The chart in a real API server: Helm installs, changes and removes it, and the server keeps what was asked for."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.chart import ON
from tests.support.cluster import Object, Refused, wait_until
from tests.support.helm_release import HelmRelease

pytestmark = [pytest.mark.kubernetes, pytest.mark.process]


def name_object(wanted: Object) -> str:
    """Returns the kind and the name of an object."""
    return f"{wanted['kind']} {wanted['metadata']['name']}"


def read_versions(release: HelmRelease, objects: list[Object]) -> dict[str, int]:
    """Returns, for each of these objects, the number of the last change of it."""
    found = [release.cluster.read(each, release.namespace) for each in objects]
    return {name_object(each): int(each["metadata"]["resourceVersion"]) for each in found}


def is_gone(release: HelmRelease, wanted: Object) -> bool:
    """Whether an object exists no longer."""
    try:
        release.cluster.read(wanted, release.namespace)
    except Refused as refused:
        return refused.status == 404
    return False


def find_differences(wanted: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Yields the path of each value that the server does not have as it was asked for; it may have others besides."""
    if isinstance(wanted, dict) and isinstance(kept, dict):
        for key, value in wanted.items():
            if value not in ({}, [], "", None, 0, False) or key in kept:
                yield from find_differences(value, kept.get(key), f"{path}.{key}")
    elif isinstance(wanted, list) and isinstance(kept, list) and len(wanted) == len(kept):
        for index, pair in enumerate(zip(wanted, kept, strict=True)):
            yield from find_differences(*pair, f"{path}[{index}]")
    elif wanted != kept:
        yield f"{path}: {wanted!r} became {kept!r}"


def encode_secret(wanted: Object) -> Object:
    """Returns an object as the server keeps it: the texts of a Secret become data."""
    if "stringData" not in wanted:
        return wanted
    texts = {key: base64.b64encode(text.encode()).decode() for key, text in wanted["stringData"].items()}
    rest = {key: value for key, value in wanted.items() if key != "stringData"}
    return rest | {"data": wanted.get("data", {}) | texts}


@pytest.mark.parametrize("values", [pytest.param({}, id="default"), pytest.param(ON, id="everything")])
def test_the_server_keeps_what_the_chart_asks_for(release: HelmRelease, values: Object) -> None:
    """The API server warns of nothing, and its defaults replace no field that the chart sets."""
    seen = len(release.cluster.warnings)

    objects = release.install(values)

    for wanted in objects:
        kept = release.cluster.read(wanted, release.namespace)
        assert list(find_differences(encode_secret(wanted), kept)) == [], name_object(wanted)
        renamed = wanted | {"metadata": wanted["metadata"] | {"name": f"{wanted['metadata']['name']}-trial"}}
        release.cluster.create(renamed, release.namespace, is_trial=True)
    assert release.cluster.warnings[seen:] == []


def test_the_server_would_notice(release: HelmRelease) -> None:
    """A field that Kubernetes does not know is refused, and a pod that the strictest profile forbids is warned of."""
    (deployment,) = (each for each in release.install() if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    deployment["metadata"]["name"] = "trial"
    seen = len(release.cluster.warnings)

    pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    release.cluster.create(deployment, release.namespace, is_trial=True)
    pod["containers"][0]["livenessProbe"]["grcp"] = {"port": 1}
    with pytest.raises(Refused, match=r'unknown field "spec.template.spec.containers\[0\].livenessProbe.grcp"'):
        release.cluster.create(deployment, release.namespace, is_trial=True)

    assert "would violate PodSecurity" in release.cluster.warnings[seen]


def test_an_upgrade_changes_what_it_must(release: HelmRelease) -> None:
    """Another configuration changes the ConfigMap, and the Deployment, which starts other pods; a rollback does too."""
    objects = release.install()
    at_first = read_versions(release, objects)

    release.upgrade({"config": 'embedded = "on"\nmax_retries = 1\n'})
    upgraded = read_versions(release, objects)
    release.roll_back()
    back = read_versions(release, objects)
    revisions = release.list_revisions()

    changed = {name.partition(" ")[0] for name, version in upgraded.items() if version != at_first[name]}
    assert changed == {"ConfigMap", "Deployment"}
    assert {name.partition(" ")[0] for name, version in back.items() if version != upgraded[name]} == changed
    assert revisions == [(1, "superseded"), (2, "superseded"), (3, "deployed")]


def test_the_same_values_change_nothing(release: HelmRelease) -> None:
    """An upgrade with the same values starts no pod anew."""
    objects = release.install(ON)
    at_first = [release.cluster.read(each, release.namespace)["metadata"].get("generation") for each in objects]

    release.upgrade(ON)

    again = [release.cluster.read(each, release.namespace)["metadata"].get("generation") for each in objects]
    assert again == at_first


def test_options_come_and_go(release: HelmRelease) -> None:
    """Objects of an option appear when it is switched on, and are removed when it is switched off."""
    few = {name_object(each) for each in release.install()}

    many = release.upgrade(ON)
    more = [each for each in many if name_object(each) not in few]
    read_versions(release, more)
    release.upgrade()

    assert {each["kind"] for each in more} >= {"HorizontalPodAutoscaler", "PrometheusRule", "Secret", "ServiceMonitor"}
    wait_until(lambda: all(is_gone(release, each) for each in more), "the objects of the options are gone")


def test_nothing_is_left(release: HelmRelease) -> None:
    """After the uninstall none of the chart's objects exists."""
    objects = release.install(ON)

    release.uninstall()

    wait_until(lambda: all(is_gone(release, each) for each in objects), "all objects are gone")
