"""Values of the Helm chart that switch its options on and off, and a look at the objects that it makes."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

from scripts.chart import render_objects

Tree = dict[str, Any]

MODELS: Final = """\
default_model = "fast"

[models.fast]
litellm_model = "openai/gpt-4o-mini"
api_key_env = "OPENAI_API_KEY"

[callers.billing]
token_hash = "sha256:ea8fac7c65fb589b0d53560f5251f74f9e9b243478dcb6b3ea79b5e36449c8d9"
"""
"""A configuration with a model and a caller."""

OPTIONS: Final[Mapping[str, Tree]] = {
    "names": {"nameOverride": "answers", "labels": {"team": "models"}},
    "a full name": {"fullnameOverride": "answers"},
    "an image by its digest": {
        "image": {"repository": "registry.example.com/reasoning-grpc", "digest": f"sha256:{'0' * 64}"},
    },
    "a private registry": {"image": {"pullSecrets": ["registry"], "tag": "1.2.3", "pullPolicy": "Always"}},
    "workers": {"workers": 4, "resources": {"requests": {"cpu": "4"}}},
    "a limit of CPU": {"resources": {"limits": {"cpu": "2500m"}}},
    "IPv6": {"ipFamily": "IPv6"},
    "models": {"config": MODELS, "secretEnv": {"OPENAI_API_KEY": "sk-test"}},
    "objects of one's own": {"existingConfigMap": "my-config", "existingSecret": "my-keys"},
    "no restart": {"restartOnConfigChange": False, "secretEnv": {"OPENAI_API_KEY": "sk-test"}},
    "variables": {"extraEnv": [{"name": "REASONING_LOG_LEVEL", "value": "debug"}]},
    "a proxy": {
        "config": "",
        "litellmProxy": {"url": "http://litellm.models:4000", "keySecret": {"name": "litellm", "key": "key"}},
    },
    "a proxy without a key": {"config": "", "litellmProxy": {"url": "http://litellm.models:4000"}},
    "pause keys": {"pauseKeys": {"secret": "pause-keys"}},
    "TLS": {"tls": {"secret": "tls"}},
    "client certificates": {
        "config": MODELS,
        "secretEnv": {"OPENAI_API_KEY": "sk-test"},
        "tls": {"secret": "tls", "clientCA": {"secret": "clients"}},
        "allowInsecure": False,
    },
    "a long drain": {"drain": {"delaySeconds": 10, "graceSeconds": 600, "marginSeconds": 20}},
    "many pods at once": {"replicas": 250, "rollingUpdate": {"maxSurge": "25%"}},
    "placement": {
        "topologySpread": [],
        "nodeSelector": {"pool": "models"},
        "tolerations": [{"key": "models", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"a": "b"}}}
                ]
            }
        },
        "priorityClassName": "high",
    },
    "labels of pods": {"podLabels": {"a": "b"}, "podAnnotations": {"c": "d"}},
    "volumes": {
        "extraVolumes": [{"name": "prompts", "configMap": {"name": "prompts"}}],
        "extraVolumeMounts": [{"name": "prompts", "mountPath": "/etc/prompts", "readOnly": True}],
    },
    "a port": {"service": {"port": 443, "annotations": {"a": "b"}}},
    "an account of one's own": {"serviceAccount": {"create": False, "name": "mine"}},
    "an annotated account": {"serviceAccount": {"name": "mine", "annotations": {"role": "models"}}},
    "autoscaling": {"autoscaling": {"enabled": True}},
    "autoscaling by CPU": {"autoscaling": {"enabled": True, "callsInFlight": 0}},
    "no disruption budget": {"podDisruptionBudget": {"enabled": False}},
    "a budget in percent": {"podDisruptionBudget": {"maxUnavailable": "10%"}},
    "no network policy": {"networkPolicy": {"enabled": False}},
    "a closed network": {
        "networkPolicy": {
            "callers": [],
            "scrapers": [],
            "egress": [{"ports": [{"port": 443, "protocol": "TCP"}]}],
        }
    },
    "telemetry": {"otlp": {"endpoint": "http://collector.monitoring:4317"}},
    "a service monitor": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "alerts": {"alerts": {"enabled": True, "labels": {"release": "prometheus"}}},
    "a dashboard": {"dashboard": {"enabled": True}},
    "Envoy": {"envoy": {"enabled": True}},
    "Envoy without policies": {
        "envoy": {"enabled": True},
        "networkPolicy": {"enabled": False},
        "podDisruptionBudget": {"enabled": False},
    },
    "Envoy with TLS": {
        "envoy": {"enabled": True, "image": {"digest": f"sha256:{'0' * 64}"}},
        "tls": {"secret": "tls", "serverName": "reasoning.example.com"},
    },
}
"""One option each, by its name."""

OFF: Final[Tree] = {
    "restartOnConfigChange": False,
    "topologySpread": [],
    "serviceAccount": {"create": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
}
"""The values with which everything is off that can be."""


def merge(*layers: Mapping[str, Any]) -> Tree:
    """Returns the values of all layers together; a later one wins, as with several files of values."""
    merged: Tree = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = merge(merged[key], value) if both else copy.deepcopy(value)
    return merged


ON: Final[Tree] = merge(
    *(values for name, values in OPTIONS.items() if not name.startswith("no ")),
    {
        "fullnameOverride": "",
        "config": MODELS,
        "existingConfigMap": "",
        "ipFamily": "IPv4",
        "restartOnConfigChange": True,
        "serviceAccount": {"create": True},
        "autoscaling": {"callsInFlight": 160},
        "networkPolicy": {"enabled": True, "callers": [{"podSelector": {}}], "scrapers": [{"namespaceSelector": {}}]},
        "podDisruptionBudget": {"enabled": True},
        "topologySpread": [
            {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "resources": {"limits": {"cpu": "4500m"}},
        "tls": {"clientCA": {"secret": ""}},
    },
)
"""The values with which everything is on that goes together."""


def render(values: Mapping[str, Any] | None = None, **keywords: Any) -> dict[str, Tree]:
    """Returns the objects that the chart makes, by kind and name as in `Service reasoning-grpc`."""
    objects = render_objects(values or {}, **keywords)
    named = {f"{item['kind']} {item['metadata']['name']}": item for item in objects}
    assert len(named) == len(objects), "two objects have the same name"
    return named


def find_pod(objects: Mapping[str, Tree], name: str = "Deployment reasoning-grpc") -> Tree:
    """Returns the specification of a Deployment's pods."""
    pod: Tree = objects[name]["spec"]["template"]["spec"]
    return pod


def find_container(objects: Mapping[str, Tree], name: str = "Deployment reasoning-grpc") -> Tree:
    """Returns the only container of a Deployment's pods."""
    [container] = find_pod(objects, name)["containers"]
    result: Tree = container
    return result


def read_environment(container: Tree) -> dict[str, str]:
    """Returns the variables of a container that have a value, as they are in a pod with the address 10.1.2.3."""
    values: Iterable[Tree] = (each for each in container["env"] if "value" in each)
    return {each["name"]: each["value"].replace("$(POD_IP)", "10.1.2.3") for each in values}
