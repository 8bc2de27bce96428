"""Writes the files of the Helm chart that are made from others: Helm reads no file outside of a chart.

`deploy/helm/reasoning-grpc/files` has copies of the alert rules and of the dashboard, and the configuration of
`deploy/envoy/envoy.yaml` as it must be in a cluster. With `--check` this fails when one of them is not current.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from scripts.chart_envoy import build_config
from scripts.pages import ROOT

CHART: Final = ROOT / "deploy" / "helm" / "reasoning-grpc"
_DEPLOY: Final = ROOT / "deploy"
_ENVOY: Final = "# Made by `make helm-rendered` from deploy/envoy/envoy.yaml, which says why each line is there.\n"


def build_files() -> dict[Path, str]:
    """Returns the texts of the files by their paths."""
    shipped = yaml.safe_load(_DEPLOY.joinpath("envoy", "envoy.yaml").read_text("utf-8"))
    return {
        CHART / "files" / "alerts.yaml": _DEPLOY.joinpath("prometheus", "alerts.yaml").read_text("utf-8"),
        CHART / "files" / "dashboard.json": _DEPLOY.joinpath("grafana", "reasoning-grpc.json").read_text("utf-8"),
        CHART / "files" / "envoy.yaml": _ENVOY + dump_yaml(build_config(shipped, tls=False)),
        CHART / "files" / "envoy-tls.yaml": _ENVOY + dump_yaml(build_config(shipped, tls=True)),
    }


def dump_yaml(document: object) -> str:
    """Returns a document as YAML, with its keys in their order."""
    text: str = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
    return text


def find_stale(files: Mapping[Path, str]) -> list[str]:
    """Returns the paths of the files whose text on the disk is another, within the repository."""
    return [
        file.relative_to(ROOT).as_posix()
        for file, text in files.items()
        if not file.is_file() or file.read_text("utf-8") != text
    ]


def write_or_check(files: Mapping[Path, str], *, check: bool) -> int:
    """Writes the files; or returns 1, and names those that are not current, when they are only checked."""
    stale = find_stale(files)
    if check and stale:
        print(f"not current, run `make helm-rendered`: {', '.join(stale)}", file=sys.stderr)
        return 1
    for file, text in files.items():
        if file.relative_to(ROOT).as_posix() in stale:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write_or_check(build_files(), check="--check" in sys.argv[1:]))
