"""The server takes the configuration that the chart gives it, as it would in a pod."""

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from reasoning_grpc.config import inspect_config
from reasoning_grpc.server.config_check import find_config_problems
from tests.support.chart import MODELS, ON, OPTIONS, Tree, find_pod, merge, render

pytestmark = [pytest.mark.helm]

WITH_CONFIGURATION = {name: values for name, values in OPTIONS.items() if "existingConfigMap" not in values}


def make_secrets() -> dict[str, str]:
    """Returns what Secrets hold, by the names of their files."""
    authority = trustme.CA()
    issued = authority.issue_cert("reasoning.example.com")
    return {
        "tls.crt": issued.cert_chain_pems[0].bytes().decode(),
        "tls.key": issued.private_key_pem.bytes().decode(),
        "ca.crt": authority.cert_pem.bytes().decode(),
        "pause-keys": base64.b64encode(bytes(32)).decode(),
    }


def find_problems(objects: Mapping[str, Tree], folder: Path) -> list[str]:
    """Returns what the server finds wrong in a pod: its volumes are folders here, and Secrets have their values."""
    [deployment] = [name for name in objects if name.startswith("Deployment") and not name.endswith("-envoy")]
    pod = find_pod(objects, deployment)
    [container] = pod["containers"]
    sources = {volume["name"]: volume for volume in pod["volumes"]}
    secrets = make_secrets()
    for mount in container["volumeMounts"]:
        inside = folder / mount["mountPath"].lstrip("/")
        inside.mkdir(parents=True)
        source = sources[mount["name"]]
        if name := source.get("configMap", {}).get("name"):
            for file, text in objects.get(f"ConfigMap {name}", {}).get("data", {}).items():
                (inside / file).write_text(text)
        for item in source.get("secret", {}).get("items", ()):
            (inside / item["path"]).write_text(secrets[item["path"]])
    environment = {"OPENAI_API_KEY": "sk-test"}
    for each in container["env"]:
        value = each.get("value", "10.1.2.3").replace("$(POD_IP)", "10.1.2.3")
        environment[each["name"]] = value.replace("/etc/reasoning-grpc", str(folder / "etc" / "reasoning-grpc"))
    return inspect_config(flags={}, environment=environment, find_problems=find_config_problems)[1]


@pytest.mark.parametrize("name", WITH_CONFIGURATION)
def test_the_server_takes_its_configuration(name: str, tmp_path: Path) -> None:
    """Options, files and variables of a pod are sound together with each option of the chart."""
    assert find_problems(render(WITH_CONFIGURATION[name]), tmp_path) == []


def test_the_server_takes_everything(tmp_path: Path) -> None:
    """Options, files and variables of a pod are sound with everything on."""
    assert find_problems(render(ON), tmp_path) == []


def test_the_server_refuses_what_is_wrong(tmp_path: Path) -> None:
    """A mistake in the values' reasoning.toml is found by the server, so the check above can fail."""
    problems = find_problems(render({"config": "unknown = 1\n"}), tmp_path)

    assert any("unknown" in problem for problem in problems)


def test_the_server_insists_on_tls_and_callers(tmp_path: Path) -> None:
    """With allowInsecure = false a server without TLS does not start, and one with both does."""
    bare = merge(OPTIONS["models"], {"allowInsecure": False})

    assert any("TLS must be configured" in each for each in find_problems(render(bare), tmp_path / "bare"))
    safe = merge(bare, OPTIONS["TLS"])
    assert find_problems(render(safe), tmp_path / "safe") == []


def test_the_configuration_arrives_as_it_was_written() -> None:
    """The ConfigMap has the text of the values, with its quotes, comments and lines."""
    text = f'# A comment: "quoted" {{{{ not a template }}}}\n{MODELS}'

    assert render({"config": text})["ConfigMap reasoning-grpc"]["data"]["reasoning.toml"] == text
