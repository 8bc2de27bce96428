"""`Cluster`: a real kube-apiserver with an etcd and the controllers of Kubernetes, as processes on loopback.

It has no scheduler and no kubelet: pods stay as the API has them, and `tests/support/nodes.py` plays both.
"""

import json
import secrets
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from scripts.optional_check import ROOT
from tests.support.ports import find_port

Object = dict[str, Any]
"""An object of Kubernetes, as JSON has it."""

NODE: Final = "node"
"""The name of the one node, of which there is nothing but the name."""
PROGRAMS: Final = ROOT / ".tools" / "kubernetes"
PATIENCE_SECONDS: Final = 200.0
"""How long a program may take for one thing, on a machine on which other programs take all cores."""
POLL_SECONDS: Final = 0.1
_CONTROLLERS: Final = (
    "deployment",
    "disruption",
    "endpointslice",
    "garbage-collector",
    "namespace",
    "replicaset",
    "serviceaccount",
)


class Refused(Exception):
    """The API server refused a request; the message is its own."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body.get("message", body)))
        self.status = status


@dataclass(frozen=True)
class Cluster:
    """A running API server, with the rights of an administrator."""

    client: httpx.Client
    kubeconfig: Path
    warnings: list[str] = field(default_factory=list)
    """The warnings of the API server about what was sent to it, in their order."""
    _kinds: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)
    """For each version and kind, the plural under which the API has it, and whether it belongs to a namespace."""

    def send(self, method: str, path: str, body: Object | None = None, **options: Any) -> Object:
        """Sends a request, records its warnings, and returns the answer. Raises Refused."""
        response = self.client.request(method, path, json=body, **options)
        self.warnings.extend(response.headers.get_list("warning"))
        answer: Object = response.json()
        if response.is_error:
            raise Refused(response.status_code, answer)
        return answer

    def find_path(self, wanted: Object, namespace: str) -> str:
        """Returns the path of the collection in which an object of this version and kind belongs."""
        version, kind = wanted["apiVersion"], wanted["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._kinds:
            for resource in self.send("GET", root)["resources"]:
                if "/" not in resource["name"]:
                    self._kinds[version, resource["kind"]] = (resource["name"], resource["namespaced"])
        plural, is_namespaced = self._kinds[version, kind]
        return f"{root}/namespaces/{namespace}/{plural}" if is_namespaced else f"{root}/{plural}"

    def create(self, wanted: Object, namespace: str, *, is_trial: bool = False) -> Object:
        """Creates an object, whose fields must all be known; a trial does everything but keep it. Raises Refused."""
        parameters = {"fieldValidation": "Strict"} | ({"dryRun": "All"} if is_trial else {})
        return self.send("POST", self.find_path(wanted, namespace), wanted, params=parameters)

    def read(self, like: Object, namespace: str) -> Object:
        """Returns the object with the kind and the name of this one. Raises Refused."""
        return self.send("GET", f"{self.find_path(like, namespace)}/{like['metadata']['name']}")

    def list_objects(self, path: str) -> list[Object]:
        """Returns the objects of a collection."""
        items: list[Object] = self.send("GET", path)["items"]
        return items

    @contextmanager
    def restricted_namespace(self, name: str) -> Iterator[str]:
        """Creates a namespace that admits only pods of the strictest profile, and deletes it with all that is in it."""
        labels = {f"pod-security.kubernetes.io/{verb}": "restricted" for verb in ("enforce", "warn", "audit")}
        self.send("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        try:
            yield name
        finally:
            self.send("DELETE", f"/api/v1/namespaces/{name}")


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    """Waits until a condition holds that another process makes true; fails with `what` after a long time."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(POLL_SECONDS)


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Runs etcd, the API server and the controllers with their data below a folder, and yields when all answer."""
    token = secrets.token_hex(16)
    etcd, peers, port = find_port(), find_port(), find_port()
    authority = trustme.CA()
    files = _write_files(folder, authority, token)
    kubeconfig = folder / "kubeconfig.json"
    kubeconfig.write_text(json.dumps(_build_kubeconfig(f"https://127.0.0.1:{port}", files["ca"], token)))
    with ExitStack() as stack:
        stack.enter_context(_running("etcd", folder, _list_etcd_flags(folder, etcd, peers)))
        server = stack.enter_context(_running("kube-apiserver", folder, _list_server_flags(files, etcd, port)))
        trust = ssl.create_default_context(cafile=str(files["ca"]))
        client = stack.enter_context(
            httpx.Client(
                base_url=f"https://127.0.0.1:{port}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=PATIENCE_SECONDS,
                trust_env=False,
                verify=trust,
            )
        )
        wait_until(lambda: _is_ready(client, server, folder), "the API server is ready")
        stack.enter_context(_running("kube-controller-manager", folder, _list_controller_flags(files, kubeconfig)))
        cluster = Cluster(client, kubeconfig)
        cluster.send("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        yield cluster


def _is_ready(client: httpx.Client, server: "subprocess.Popen[bytes]", folder: Path) -> bool:
    """Whether the API server serves; fails with its log when it has ended."""
    assert server.poll() is None, (folder / "kube-apiserver.log").read_text()[-4000:]
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@contextmanager
def _running(name: str, folder: Path, flags: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a program with its output in a file, and kills it at the end: nothing of the cluster is kept."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAMS / name, *flags], cwd=folder, env={}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def _write_files(folder: Path, authority: trustme.CA, token: str) -> dict[str, Path]:
    """Writes certificates, the key of service accounts, and the administrator's token."""
    names = ("ca", "certificate", "key", "accounts", "accounts-public", "tokens")
    files = {name: folder / f"{name}.pem" for name in names}
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(files["ca"]))
    issued.cert_chain_pems[0].write_to_path(str(files["certificate"]))
    issued.private_key_pem.write_to_path(str(files["key"]))
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files["accounts"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    files["accounts-public"].write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    files["tokens"].write_text(f'{token},administrator,1,"system:masters"\n')
    return files


def _build_kubeconfig(address: str, authority: Path, token: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": {"server": address, "certificate-authority": str(authority)}}],
        "users": [{"name": "administrator", "user": {"token": token}}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "administrator"}}],
        "current-context": "tests",
    }


def _list_etcd_flags(folder: Path, port: int, peers: int) -> list[str]:
    own, others = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={own}",
        f"--advertise-client-urls={own}",
        f"--listen-peer-urls={others}",
        f"--initial-advertise-peer-urls={others}",
        f"--initial-cluster=default={others}",
        "--unsafe-no-fsync",  # nothing of it is kept
    ]


def _list_server_flags(files: Mapping[str, Path], etcd: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={files['certificate']}",
        f"--tls-private-key-file={files['key']}",
        f"--token-auth-file={files['tokens']}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={files['accounts']}",
        f"--service-account-key-file={files['accounts-public']}",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]


def _list_controller_flags(files: Mapping[str, Path], kubeconfig: Path) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(f'{name}-controller' for name in _CONTROLLERS)}",
        f"--service-account-private-key-file={files['accounts']}",
        f"--root-ca-file={files['ca']}",
        "--leader-elect=false",
        "--secure-port=0",
    ]
