"""What finds the pods and what may reach them: Services, policies, the autoscaler, Prometheus."""

import re
from typing import Any, Final

import pytest
import yaml

from reasoning_grpc.telemetry import FAMILIES
from scripts.pages import ROOT
from tests.support.chart import ON, OPTIONS, Tree, find_container, merge, render

pytestmark = [pytest.mark.helm]

ALL: Final = [{}, ON, *OPTIONS.values()]


def find_selectors(item: Tree) -> list[dict[str, str]]:
    """Returns the labels by which an object finds pods."""
    spec = item.get("spec", {})
    found: list[Any] = []
    if item["kind"] == "Service":
        found.append(spec["selector"])
    if item["kind"] in ("Deployment", "PodDisruptionBudget"):
        found.append(spec["selector"]["matchLabels"])
    if item["kind"] == "NetworkPolicy":
        found.append(spec["podSelector"]["matchLabels"])
    return found


@pytest.mark.parametrize("values", ALL)
def test_every_selector_finds_pods_of_one_deployment(values: Tree) -> None:
    """Each Service, budget and policy finds exactly the pods of one Deployment."""
    objects = render(values).values()
    pods = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"]
        for item in objects
        if item["kind"] == "Deployment"
    }

    for item in objects:
        for selector in find_selectors(item):
            found = [name for name, labels in pods.items() if selector.items() <= labels.items()]
            belongs = item["metadata"]["labels"]["app.kubernetes.io/component"]
            assert len(found) == 1, item
            assert pods[found[0]]["app.kubernetes.io/component"] == belongs


@pytest.mark.parametrize("values", ALL)
def test_every_named_port_is_a_port_of_the_pods(values: Tree) -> None:
    """Services and policies name ports that the containers have."""
    objects = render(values).values()
    ports: dict[str, set[str]] = {}
    for item in objects:
        if item["kind"] == "Deployment":
            component = item["metadata"]["labels"]["app.kubernetes.io/component"]
            [container] = item["spec"]["template"]["spec"]["containers"]
            ports[component] = {port["name"] for port in container["ports"]}

    for item in objects:
        component = item["metadata"]["labels"]["app.kubernetes.io/component"]
        if item["kind"] == "Service":
            assert {port["targetPort"] for port in item["spec"]["ports"]} <= ports[component]
        if item["kind"] == "NetworkPolicy":
            named = {port["port"] for rule in item["spec"]["ingress"] for port in rule["ports"]}
            assert named <= ports[component]


def test_the_headless_service_has_the_addresses_of_ready_pods() -> None:
    """Its name resolves to pods, so its port is theirs whatever the plain Service's port is."""
    service = render({"service": {"port": 443}})["Service reasoning-grpc-headless"]["spec"]

    assert service["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in service
    assert service["ports"][0]["port"] == 50051


def test_only_callers_and_scrapers_come_in() -> None:
    """Callers reach the port of the service, scrapers that of metrics, and nobody that of health."""
    policy = render()["NetworkPolicy reasoning-grpc"]["spec"]

    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [
        {"ports": [{"port": "grpc"}], "from": [{"podSelector": {}}]},
        {
            "ports": [{"port": "metrics"}],
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        },
    ]


def test_no_peers_are_nobody() -> None:
    """An empty list of callers closes the port: a rule with an empty list of peers would let everybody in."""
    policy = render(OPTIONS["a closed network"])["NetworkPolicy reasoning-grpc"]["spec"]

    assert policy["ingress"] == []
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in policy["egress"][0]["ports"]] == [53, 53]
    assert policy["egress"][1:] == OPTIONS["a closed network"]["networkPolicy"]["egress"]


def test_envoy_reaches_the_servers() -> None:
    """With Envoy, its pods may call the servers even where no other caller may."""
    values = merge(OPTIONS["a closed network"], OPTIONS["Envoy"])
    objects = render(values)
    [rule] = objects["NetworkPolicy reasoning-grpc"]["spec"]["ingress"]
    [peer] = rule["from"]

    assert peer["podSelector"] == objects["Deployment reasoning-grpc-envoy"]["spec"]["selector"]
    assert objects["NetworkPolicy reasoning-grpc-envoy"]["spec"]["ingress"] == []


def test_the_autoscaler_asks_for_a_metric_that_the_server_has() -> None:
    """Calls in flight are a gauge of the server's, under the name that Prometheus has, and CPU the other reason."""
    spec = render(OPTIONS["autoscaling"])["HorizontalPodAutoscaler reasoning-grpc"]["spec"]
    calls, cpu = spec["metrics"]

    assert calls["pods"]["metric"]["name"] in {family.prometheus_name for family in FAMILIES}
    assert calls["pods"]["target"] == {"type": "AverageValue", "averageValue": "160"}
    assert cpu["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "reasoning-grpc"}
    [only] = render(OPTIONS["autoscaling by CPU"])["HorizontalPodAutoscaler reasoning-grpc"]["spec"]["metrics"]
    assert only == cpu


def test_cpu_is_a_share_of_a_request() -> None:
    """An autoscaler by CPU needs a request of CPU, which the default has."""
    assert find_container(render())["resources"]["requests"]["cpu"] == "1"


def test_prometheus_scrapes_each_pod_once_under_the_name_of_the_alerts() -> None:
    """The ServiceMonitor finds one of the two Services, and the job has the name that the alerts ask for."""
    objects = render(OPTIONS["a service monitor"])
    monitor = objects["ServiceMonitor reasoning-grpc"]
    services = [item for item in objects.values() if item["kind"] == "Service"]
    labels = monitor["spec"]["selector"]["matchLabels"].items()
    [endpoint] = monitor["spec"]["endpoints"]

    found = [item for item in services if labels <= item["metadata"]["labels"].items()]

    assert [item["metadata"]["name"] for item in found] == ["reasoning-grpc-headless"]
    assert endpoint["port"] in {port["name"] for port in found[0]["spec"]["ports"]}
    [relabeling] = endpoint["relabelings"]
    assert relabeling["targetLabel"] == "job"
    jobs = re.findall(r'job="([^"]+)"', (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    assert set(jobs) == {relabeling["replacement"]}
    assert monitor["metadata"]["labels"]["release"] == "prometheus"


def test_the_alerts_are_those_of_the_repository() -> None:
    """The PrometheusRule has each group of deploy/prometheus/alerts.yaml, with its templates as they are."""
    rule = render(OPTIONS["alerts"])["PrometheusRule reasoning-grpc"]

    assert rule["spec"] == yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())
    assert "{{ $labels.instance }}" in str(rule)


def test_the_dashboard_is_that_of_the_repository() -> None:
    """The ConfigMap has deploy/grafana/reasoning-grpc.json, and the label that Grafana's sidecar looks for."""
    dashboard = render(OPTIONS["a dashboard"])["ConfigMap reasoning-grpc-dashboard"]
    file = ROOT / "deploy" / "grafana" / "reasoning-grpc.json"

    assert dashboard["data"]["reasoning-grpc.json"].strip() == file.read_text().strip()
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
