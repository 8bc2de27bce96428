"""`HelmRelease`: the chart, installed into a cluster by Helm's own engine."""

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

import yaml

from scripts.chart import PACKAGES, RELEASE
from scripts.chart_files import CHART
from tests.support.cluster import PATIENCE_SECONDS, Cluster, Object

_PROGRAM: Final = """
import json, sys
import helm_python

order = json.load(sys.stdin)
with helm_python.Config(kubeconfig_path=order["kubeconfig"], namespace=order["namespace"]) as config:
    result = getattr(config, order["verb"])(*order["arguments"], **order["options"])
json.dump(result, sys.stdout)
"""


@dataclass(frozen=True)
class HelmRelease:
    """The release of one namespace."""

    cluster: Cluster
    namespace: str

    def install(self, values: Object | None = None, **options: Any) -> list[Object]:
        """Installs the chart, and returns the objects that Helm sent."""
        return _read_objects(self._do("install", str(CHART), RELEASE, values or {}, **options))

    def upgrade(self, values: Object | None = None) -> list[Object]:
        """Replaces the values, and returns the objects that Helm sent."""
        # Without the option Helm would take no values for the old ones.
        return _read_objects(self._do("upgrade", str(CHART), RELEASE, values or {}, reset_values=True))

    def roll_back(self) -> None:
        """Goes back to the values before the last ones."""
        self._do("rollback", RELEASE)

    def uninstall(self) -> None:
        """Removes everything that was installed."""
        self._do("uninstall", RELEASE)

    def list_revisions(self) -> list[tuple[int, str]]:
        """Returns the number and the status of each revision, the oldest first."""
        return [(each["revision"], each["status"]) for each in self._do("history", RELEASE)]

    def _do(self, verb: str, *arguments: Any, **options: Any) -> Any:
        order = {
            "kubeconfig": str(self.cluster.kubeconfig),
            "namespace": self.namespace,
            "verb": verb,
            "arguments": arguments,
            "options": options,
        }
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={"PYTHONPATH": str(PACKAGES), "HOME": str(self.cluster.kubeconfig.parent)},  # for its cache
            input=json.dumps(order),
            capture_output=True,
            check=False,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr.lower(), done.stderr
        return json.loads(done.stdout)


def _read_objects(release: Any) -> list[Object]:
    return [each for each in yaml.safe_load_all(release["manifest"]) if each]
