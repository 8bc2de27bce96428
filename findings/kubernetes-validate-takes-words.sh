#!/usr/bin/env bash
# kubernetes-validate's strict check accepts manifests that no Kubernetes takes: words in place of quantities, ports, kinds.
#
# Versions: kubernetes-validate 1.37.0, Python 3.11 (first seen 2026-11-30).
#
# Expected: `validate(manifest, "1.33", strict=True)` refuses a Deployment that requests the CPU "one", has a port 70000,
#   a strategy that there is not, a probe of two kinds, or a name with capitals.
# Seen: it accepts all of them. It refuses unknown fields, fields of another type, and required fields that are missing.
#   The schemas come from Kubernetes' own API description, which says of a quantity that it is a string or a number, and
#   of choices that they are strings. A Deployment without `spec` passes too.
# Why it matters here: `make helm` holds our chart to these schemas. What they do not say, our own tests of the rendered
#   objects and `values.schema.json` do: quantities, ports, choices, names, selectors.
#
# Exits with 0 while the behaviour is as described, with 1 when it has changed.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 400 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check kubernetes-validate==1.37.0

"$folder/venv/bin/python" - <<'PYTHON'
import copy
import sys

import kubernetes_validate

GOOD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a"},
    "spec": {
        "selector": {"matchLabels": {"app": "a"}},
        "template": {
            "metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "a", "image": "a"}]},
        },
    },
}


def is_accepted(change):
    """Returns whether the strict check accepts the good Deployment after a change."""
    manifest = copy.deepcopy(GOOD)
    change(manifest, manifest["spec"], manifest["spec"]["template"]["spec"]["containers"][0])
    try:
        kubernetes_validate.validate(manifest, "1.33", strict=True)
    except kubernetes_validate.ValidationError:
        return False
    return True


WRONG = {
    "the CPU 'one'": lambda manifest, spec, container: container.update(resources={"requests": {"cpu": "one"}}),
    "the port 70000": lambda manifest, spec, container: container.update(ports=[{"containerPort": 70000}]),
    "the strategy 'Whatever'": lambda manifest, spec, container: spec.update(strategy={"type": "Whatever"}),
    "a probe of two kinds": lambda manifest, spec, container: container.update(
        livenessProbe={"grpc": {"port": 1}, "tcpSocket": {"port": 1}}
    ),
    "the name 'My_Name'": lambda manifest, spec, container: manifest["metadata"].update(name="My_Name"),
    "no spec": lambda manifest, spec, container: manifest.pop("spec"),
}
FOUND = {
    "an unknown field": lambda manifest, spec, container: container.update(imagee="a"),
    "a text for a number": lambda manifest, spec, container: spec.update(replicas="three"),
    "no selector": lambda manifest, spec, container: spec.pop("selector"),
}

print("expected: each of these is refused")
accepted = {what: is_accepted(change) for what, change in (WRONG | FOUND).items()}
for what, is_so in accepted.items():
    print(f"seen: a Deployment with {what} is {'accepted' if is_so else 'refused'}")
as_described = all(accepted[what] for what in WRONG) and not any(accepted[what] for what in FOUND)
sys.exit(0 if as_described else 1)
PYTHON
