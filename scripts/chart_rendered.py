"""Writes `deploy/helm/rendered/default.yaml`, what the chart makes of its default values, and the chart's own copies.

With `--check` this fails when one of the files is not current.
"""

import sys
from pathlib import Path
from typing import Final

from scripts.chart import NAMESPACE, RELEASE, render_texts
from scripts.chart_files import build_files, write_or_check
from scripts.pages import ROOT

RENDERED: Final = ROOT / "deploy" / "helm" / "rendered" / "default.yaml"
_HEAD: Final = f"""\
# What the chart makes of its default values, for the release {RELEASE} in the namespace {NAMESPACE}.
# `make helm-rendered` writes this file with Helm's own engine, and `make helm` fails when it is not current.
"""


def render_default() -> str:
    """Returns the manifests of the default values, each after the name of its template."""
    texts = render_texts({})
    parts = [f"---\n# templates/{name}\n{text.strip()}\n" for name, text in texts.items() if name != "NOTES.txt"]
    return _HEAD + "".join(parts)


def main(arguments: list[str]) -> int:
    """Writes the files, the copies first, which the templates read; returns 1 when a check finds a stale one."""
    check = "--check" in arguments
    rendered: dict[Path, str] = {}
    code = write_or_check(build_files(), check=check)
    rendered[RENDERED] = render_default()
    return write_or_check(rendered, check=check) or code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
