"""`Nodes`: plays the scheduler and the kubelet of a cluster that has neither, for the pods of one namespace."""

from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.cluster import NODE, Cluster, Object

_PATCH: Final[dict[str, Any]] = {"headers": {"Content-Type": "application/strategic-merge-patch+json"}}


@dataclass
class Nodes:
    """Places each new pod on the node, says that it is ready, and lets each pod end that was deleted."""

    cluster: Cluster
    namespace: str
    ended: list[Object] = field(default_factory=list)
    """The pods that were deleted, as they were then."""
    _next_address: int = 1

    def list_pods(self) -> list[Object]:
        """Returns the pods that exist now."""
        return self.cluster.list_objects(self._path())

    def list_ready(self) -> list[Object]:
        """Returns the pods that take calls: they are ready, and nobody has deleted them."""
        return [pod for pod in self.list_pods() if is_ready(pod) and not _is_leaving(pod)]

    def play(self) -> None:
        """Does what the pods that exist now wait for."""
        for pod in self.list_pods():
            if _is_leaving(pod):
                self.ended.append(pod)
                self.cluster.send("DELETE", self._path(pod), params={"gracePeriodSeconds": "0"})
            elif not is_ready(pod):
                self.start(pod)

    def start(self, pod: Object) -> None:
        """Places a pod on the node, and says that it is ready."""
        if not pod["spec"].get("nodeName"):
            self.cluster.send(
                "POST",
                f"{self._path(pod)}/binding",
                {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": NODE}},
            )
        address = f"10.1.0.{self._next_address}"
        self._next_address += 1
        conditions = [{"type": kind, "status": "True"} for kind in ("Initialized", "ContainersReady", "Ready")]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
        self.cluster.send("PATCH", f"{self._path(pod)}/status", {"status": status}, **_PATCH)

    def _path(self, pod: Object | None = None) -> str:
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return path if pod is None else f"{path}/{pod['metadata']['name']}"


def is_ready(pod: Object) -> bool:
    """Whether a pod's kubelet says that it is ready."""
    conditions = pod["status"].get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _is_leaving(pod: Object) -> bool:
    """Whether somebody has deleted a pod that still exists."""
    return "deletionTimestamp" in pod["metadata"]
