"""The chart under the real controllers of Kubernetes: pods are replaced without a gap, found, and protected."""

import pytest

from scripts.chart import RELEASE
from tests.support.cluster import Object, Refused, wait_until
from tests.support.helm_release import HelmRelease
from tests.support.nodes import Nodes

pytestmark = [pytest.mark.kubernetes, pytest.mark.process]

REPLICAS = 3
SOON = {"rollingUpdate": {"minReadySeconds": 0}}
"""A pod counts as soon as it is ready."""
AUTOSCALED = SOON | {"autoscaling": {"enabled": True}}


def read_deployment(release: HelmRelease) -> Object:
    """Returns the Deployment of the servers."""
    wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": RELEASE}}
    return release.cluster.read(wanted, release.namespace)


def is_rolled_out(deployment: Object) -> bool:
    """Whether all pods of a Deployment are of its last version, and available."""
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and all(
        status.get(count, 0) == wanted for count in ("replicas", "updatedReplicas", "availableReplicas")
    )


def wait_for_rollout(release: HelmRelease, nodes: Nodes) -> list[int]:
    """Plays the nodes until the Deployment is rolled out, and returns the number of ready pods at each look."""
    counts = []

    def look() -> bool:
        counts.append(len(nodes.list_ready()))
        nodes.play()
        return is_rolled_out(read_deployment(release))

    wait_until(look, "the Deployment is rolled out")
    return counts


def count_after_play(nodes: Nodes) -> int:
    """Plays the nodes, and returns the number of pods that are left."""
    nodes.play()
    return len(nodes.list_pods())


def list_endpoints(release: HelmRelease, service: str) -> set[tuple[str, int]]:
    """Returns the addresses and ports to which a Service leads calls now."""
    slices = release.cluster.list_objects(f"/apis/discovery.k8s.io/v1/namespaces/{release.namespace}/endpointslices")
    return {
        (address, port["port"])
        for each in slices
        if each["metadata"]["labels"]["kubernetes.io/service-name"] == service
        for endpoint in each["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
        for port in each["ports"] or []
        if port["name"] == "grpc"
    }


def evict(release: HelmRelease, pod: Object) -> None:
    """Asks for the end of a pod, as the drain of a node does. Raises Refused."""
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{release.namespace}/pods/{name}/eviction"
    release.cluster.send("POST", path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}})


def test_an_upgrade_leaves_no_gap(release: HelmRelease) -> None:
    """While pods are replaced, as many as before are ready, and each old one has the time of its drain to end."""
    nodes = Nodes(release.cluster, release.namespace)
    release.install(SOON)
    wait_for_rollout(release, nodes)
    old = {pod["metadata"]["name"] for pod in nodes.list_ready()}

    release.upgrade(SOON | {"drain": {"graceSeconds": 100}})
    counts = wait_for_rollout(release, nodes)
    wait_until(lambda: count_after_play(nodes) == REPLICAS, "the old pods have ended")

    assert len(old) == REPLICAS
    assert min(counts) == REPLICAS
    assert {pod["metadata"]["name"] for pod in nodes.ended} == old
    assert {pod["metadata"]["deletionGracePeriodSeconds"] for pod in nodes.ended} == {5 + 20 + 10}
    assert {pod["spec"]["terminationGracePeriodSeconds"] for pod in nodes.list_ready()} == {5 + 100 + 10}


def test_services_lead_to_ready_pods(release: HelmRelease) -> None:
    """Both Services have the addresses of the pods that are ready, and the port of the calls."""
    nodes = Nodes(release.cluster, release.namespace)
    services = [each["metadata"]["name"] for each in release.install(SOON) if each["kind"] == "Service"]
    wait_until(lambda: len(nodes.list_pods()) == REPLICAS, "the pods exist")
    for pod in nodes.list_pods()[:2]:
        nodes.start(pod)
    addresses = {(pod["status"]["podIP"], 50051) for pod in nodes.list_ready()}

    wait_until(
        lambda: all(list_endpoints(release, service) == addresses for service in services), "they lead to two pods"
    )
    assert len(services) == len(addresses) == 2


def test_a_drain_of_nodes_takes_one_pod_at_a_time(release: HelmRelease) -> None:
    """One pod may be evicted; the next one only when another pod has taken the place of the first."""
    nodes = Nodes(release.cluster, release.namespace)
    release.install(SOON)
    wait_for_rollout(release, nodes)
    first, second, _ = nodes.list_ready()
    wait_until(lambda: _is_protected(release), "the budget is known")

    evict(release, first)
    with pytest.raises(Refused) as refused:
        evict(release, second)
    wait_for_rollout(release, nodes)
    wait_until(lambda: _may_evict(release, second), "the second pod may go")

    assert refused.value.status == 429


def _is_protected(release: HelmRelease) -> bool:
    """Whether the budget of disruptions allows one."""
    (budget,) = release.cluster.list_objects(f"/apis/policy/v1/namespaces/{release.namespace}/poddisruptionbudgets")
    return bool(budget.get("status", {}).get("disruptionsAllowed") == 1)


def _may_evict(release: HelmRelease, pod: Object) -> bool:
    try:
        evict(release, pod)
    except Refused as refused:
        if refused.status != 429:
            raise
        return False
    return True


def scale(release: HelmRelease, replicas: int) -> None:
    """Sets the number of pods, as the autoscaler does and `kubectl scale`."""
    path = f"/apis/apps/v1/namespaces/{release.namespace}/deployments/{RELEASE}/scale"
    wanted = release.cluster.send("GET", path) | {"spec": {"replicas": replicas}}
    release.cluster.send("PUT", path, wanted, params={"fieldManager": "kubectl"})


def test_the_autoscalers_number_outlives_an_upgrade(release: HelmRelease) -> None:
    """An upgrade does not take back the number of pods that the autoscaler has chosen."""
    release.install(AUTOSCALED)
    scale(release, 7)

    release.upgrade(AUTOSCALED | {"drain": {"graceSeconds": 100}})

    assert read_deployment(release)["spec"]["replicas"] == 7


@pytest.mark.parametrize(("scaled", "kept"), [pytest.param(None, 1, id="alone"), pytest.param(4, 4, id="scaled")])
def test_the_autoscaler_is_switched_on(release: HelmRelease, scaled: int | None, kept: int) -> None:
    """Whoever switches the autoscaler on has one pod until it acts, unless another number was set before by hand."""
    release.install(SOON)
    if scaled is not None:
        scale(release, scaled)

    release.upgrade(AUTOSCALED)

    assert read_deployment(release)["spec"]["replicas"] == kept
