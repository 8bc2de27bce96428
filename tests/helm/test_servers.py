"""The pods of the servers: probes, the drain, rights, environment, placement."""

import re

import pytest
import yaml

from reasoning_grpc.config import options
from reasoning_grpc.server.admin.health import LIVENESS, READINESS
from scripts.chart_files import CHART
from scripts.pages import find_blocks, read_pages
from tests.support.chart import (
    MODELS,
    OFF,
    ON,
    OPTIONS,
    Tree,
    find_container,
    find_pod,
    merge,
    read_environment,
    render,
)

pytestmark = [pytest.mark.helm]

DEPLOYMENT = "Deployment reasoning-grpc"


def read_annotations(values: Tree) -> dict[str, str]:
    """Returns the annotations of the pods."""
    annotations: dict[str, str] = render(values)[DEPLOYMENT]["spec"]["template"]["metadata"]["annotations"]
    return annotations


def test_the_kubelet_asks_the_port_of_health() -> None:
    """All three probes call the gRPC port of health by the number that it listens on, and names that the server has.

    The kubelet's gRPC probes know neither TLS nor the name of a port.
    """
    container = find_container(render())
    environment = read_environment(container)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    asked = {name: container[name]["grpc"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}

    assert environment["REASONING_HEALTH_LISTEN"] == "10.1.2.3:50052"
    assert ports["health"] == 50052
    assert asked == {
        "startupProbe": {"port": 50052, "service": LIVENESS},
        "readinessProbe": {"port": 50052, "service": READINESS},
        "livenessProbe": {"port": 50052, "service": LIVENESS},
    }


def test_the_probes_are_those_that_were_tried() -> None:
    """The probes that docs/operations.md shows, and `make probes` sends, are those of the chart."""
    section = read_pages()["docs/operations.md"].partition("\n### Probes\n")[2]
    shown = yaml.safe_load(find_blocks(section, "yaml")[0].text)
    container = find_container(render())

    assert shown.keys() == {"startupProbe", "readinessProbe", "livenessProbe"}
    for name, probe in shown.items():
        assert probe.items() <= container[name].items()


def test_the_ports_are_those_that_the_server_listens_on() -> None:
    """The server listens on the ports that the container names, on every address of the pod."""
    container = find_container(render())
    environment = read_environment(container)

    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "grpc": 50051,
        "health": 50052,
        "metrics": 9464,
    }
    assert environment["REASONING_LISTEN"] == "0.0.0.0:50051"
    assert environment["REASONING_ADMIN_LISTEN"] == "0.0.0.0:9464"


def test_addresses_of_ipv6_have_brackets() -> None:
    """With IPv6 the server listens on [::], and on the pod's address in brackets."""
    environment = read_environment(find_container(render({"ipFamily": "IPv6"})))

    assert environment["REASONING_LISTEN"] == "[::]:50051"
    assert environment["REASONING_ADMIN_LISTEN"] == "[::]:9464"
    assert environment["REASONING_HEALTH_LISTEN"] == "[10.1.2.3]:50052"


@pytest.mark.parametrize("values", [{}, OPTIONS["a long drain"]], ids=["default", "long"])
def test_kubernetes_waits_longer_than_the_drain(values: Tree) -> None:
    """The kubelet kills a pod five seconds after the end of its drain at the earliest."""
    objects = render(values)
    environment = read_environment(find_container(objects))

    drain = int(environment["REASONING_DRAIN_DELAY_SECONDS"]) + int(environment["REASONING_GRACE_SECONDS"])

    assert find_pod(objects)["terminationGracePeriodSeconds"] >= drain + 5
    assert "lifecycle" not in find_container(objects)


def test_a_rolling_update_never_has_fewer_servers() -> None:
    """A new pod must be ready before an old one is stopped."""
    strategy = render()[DEPLOYMENT]["spec"]["strategy"]

    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert render({"rollingUpdate": {"maxSurge": "25%"}})[DEPLOYMENT]["spec"]["strategy"]["rollingUpdate"] == {
        "maxUnavailable": 0,
        "maxSurge": "25%",
    }


@pytest.mark.parametrize("values", [{}, ON, OFF], ids=["default", "on", "off"])
def test_no_container_has_rights(values: Tree) -> None:
    """Every container runs as a user of its own, cannot gain rights or write to its image, and gets no token."""
    pods = [item["spec"]["template"]["spec"] for item in render(values).values() if item["kind"] == "Deployment"]

    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


def test_cpu_has_no_limit_unless_it_is_set() -> None:
    """A server that is throttled delays every token, so the limit is the operator's decision."""
    limited = find_container(render(OPTIONS["a limit of CPU"]))

    assert find_container(render())["resources"] == {
        "requests": {"cpu": "1", "memory": "640Mi"},
        "limits": {"memory": "1Gi"},
    }
    assert limited["resources"]["limits"] == {"memory": "1Gi", "cpu": "2500m"}


def test_only_tmp_can_be_written_to() -> None:
    """The server has a folder for temporary files, of a bounded size; every other volume is only read."""
    objects = render(ON)
    name = next(name for name in objects if name.startswith("Deployment") and not name.endswith("-envoy"))
    mounts = find_container(objects, name)["volumeMounts"]

    assert [mount["mountPath"] for mount in mounts if not mount.get("readOnly")] == ["/tmp"]
    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in find_pod(objects, name)["volumes"]}
    [tmp] = [volume for volume in find_pod(objects, name)["volumes"] if volume["name"] == "tmp"]
    assert tmp == {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_server_knows_each_of_its_variables(name: str) -> None:
    """Each variable REASONING_... is an option of the server, and Kubernetes adds none for Services with that name."""
    known = {option.variable for option in options()} | {"REASONING_CONFIG"}
    objects = render(OPTIONS[name])
    [deployment] = [name for name in objects if name.startswith("Deployment") and not name.endswith("-envoy")]
    variables = read_environment(find_container(objects, deployment))

    assert {variable for variable in variables if variable.startswith("REASONING_")} <= known
    assert find_pod(objects, deployment)["enableServiceLinks"] is False


def test_every_option_that_the_chart_sets_is_refused_in_the_configuration() -> None:
    """The list of options that stand in values of their own has each variable that the chart ever sets."""
    text = (CHART / "templates" / "_checks.tpl").read_text()
    refused = set(re.findall(r'^      "(\w+)" "', text, re.MULTILINE))
    names = {option.variable: option.name for option in options()}

    written = set()
    for values in (ON, OPTIONS["client certificates"]):
        objects = render(values)
        [deployment] = [name for name in objects if name.startswith("Deployment") and not name.endswith("-envoy")]
        written |= {
            names[variable]
            for variable in read_environment(find_container(objects, deployment))
            if variable in names and variable != "REASONING_LOG_LEVEL"
        }

    assert written == refused


def test_a_change_of_the_configuration_restarts_the_pods() -> None:
    """The pods carry a checksum of what they read at their start, unless the operator reloads it."""
    before = read_annotations({})
    models = read_annotations({"config": MODELS})
    keys = read_annotations({"config": MODELS, "secretEnv": {"OPENAI_API_KEY": "a"}})
    other_keys = read_annotations({"config": MODELS, "secretEnv": {"OPENAI_API_KEY": "b"}})
    kept = read_annotations({"config": MODELS, "restartOnConfigChange": False})

    assert len({str(each) for each in (before, models, keys, other_keys)}) == 4
    assert "checksum/config" in before
    assert kept == read_annotations({"restartOnConfigChange": False})


def test_secrets_are_read_from_their_objects() -> None:
    """Keys come from Secrets alone, and the proxy's key from the Secret that is named."""
    objects = render(merge(OPTIONS["models"], {"existingSecret": "my-keys"}, OPTIONS["a proxy"], {"config": MODELS}))
    container = find_container(objects)
    [key] = [each for each in container["env"] if each["name"] == "LITELLM_API_KEY"]

    assert container["envFrom"] == [
        {"secretRef": {"name": "reasoning-grpc"}},
        {"secretRef": {"name": "my-keys"}},
    ]
    assert objects["Secret reasoning-grpc"]["data"] == {"OPENAI_API_KEY": "c2stdGVzdA=="}
    assert key["valueFrom"] == {"secretKeyRef": {"name": "litellm", "key": "key"}}
    assert "sk-test" not in str(objects[DEPLOYMENT])


def test_files_lie_where_the_server_looks_for_them() -> None:
    """TLS files, authorities and pause keys are mounted as folders, whose files change when the Secrets do."""
    objects = render(merge(OPTIONS["client certificates"], OPTIONS["pause keys"]))
    container, pod = find_container(objects), find_pod(objects)
    environment = read_environment(container)
    folders = {mount["name"]: mount for mount in container["volumeMounts"]}
    items = {
        f"{folders[volume['name']]['mountPath']}/{item['path']}"
        for volume in pod["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    }

    named = {value for variable, value in environment.items() if re.search("_TLS_|_PAUSE_KEYS_", variable)}

    assert named == items
    assert len(named) == 4
    assert not any("subPath" in mount for mount in container["volumeMounts"])


def test_the_servers_are_spread() -> None:
    """The servers of one version are kept on different nodes and in different zones, as far as that goes."""
    pod = find_pod(render())

    assert [each["topologyKey"] for each in pod["topologySpreadConstraints"]] == [
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    ]
    for each in pod["topologySpreadConstraints"]:
        assert each["labelSelector"] == render()[DEPLOYMENT]["spec"]["selector"]
        assert each["matchLabelKeys"] == ["pod-template-hash"]


def test_an_image_has_a_tag_or_a_digest() -> None:
    """The image is that of the chart's server, and a digest wins over a tag."""
    digest = OPTIONS["an image by its digest"]["image"]["digest"]

    assert find_container(render())["image"] == "reasoning-grpc:0.1.0"
    assert find_container(render(OPTIONS["a private registry"]))["image"] == "reasoning-grpc:1.2.3"
    assert (
        find_container(render(OPTIONS["an image by its digest"]))["image"]
        == f"registry.example.com/reasoning-grpc@{digest}"
    )


def test_the_autoscaler_owns_the_number_of_servers() -> None:
    """With an autoscaler the Deployment names no number, or each upgrade would set it back."""
    assert render()[DEPLOYMENT]["spec"]["replicas"] == 3
    assert "replicas" not in render(OPTIONS["autoscaling"])[DEPLOYMENT]["spec"]
