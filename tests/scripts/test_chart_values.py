"""What can be said of the Helm chart without Helm: its values, its schema, its versions, the files that it copies."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import jsonschema
import pytest
import yaml

from scripts.chart_files import CHART, build_files, find_stale, write_or_check
from scripts.check_helm import main
from scripts.pages import ROOT

Tree = dict[str, Any]
Path = tuple[str, ...]
"""The names that lead to a value."""
TEXT: Final = (CHART / "values.yaml").read_text("utf-8")
VALUES: Final = yaml.safe_load(TEXT)
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text("utf-8"))
LOCK: Final = ROOT / "requirements" / "helm.txt"


def list_values(values: Tree, schema: Tree, path: Path = ()) -> Iterator[Path]:
    """Yields the paths of all values; what an operator names freely, such as labels, is one value."""
    for name, value in values.items():
        yield (*path, name)
        inner = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and "properties" in inner:
            yield from list_values(value, inner, (*path, name))


def list_schemas(schema: Tree, path: Path = ()) -> Iterator[tuple[Path, Tree]]:
    """Yields the schemas of all values with their paths."""
    for name, inner in schema.get("properties", {}).items():
        yield (*path, name), inner
        yield from list_schemas(inner, (*path, name))


def find_comments() -> dict[Path, bool]:
    """Returns for each key of values.yaml whether the line above it is a comment at the same depth."""
    found: dict[Path, bool] = {}
    path: list[tuple[int, str]] = []
    above = ""
    for line in TEXT.splitlines():
        if match := re.match(r"( *)([\w./-]+):( |$)", line):
            depth = len(match[1])
            path = [*[part for part in path if part[0] < depth], (depth, match[2])]
            key = tuple(name for _, name in path)
            found.setdefault(key, above.startswith(match[1] + "# "))
        above = line
    return found


PATHS: Final = list(list_values(VALUES, SCHEMA))
IDS: Final = [".".join(path) for path in PATHS]


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_every_value_has_a_comment(path: Path) -> None:
    """A comment stands above each value, which is a sentence or names what it is."""
    assert find_comments()[path]


def test_every_value_has_a_schema() -> None:
    """The schema knows the values of values.yaml and no others but Helm's own `global`."""
    known = {path for path, _ in list_schemas(SCHEMA)}

    assert known == {*PATHS, ("global",)}


def test_the_schema_says_something_about_every_value() -> None:
    """Each value has a type or a choice, and an object with known values takes no others."""
    for path, schema in list_schemas(SCHEMA):
        assert schema.keys() & {"type", "enum", "oneOf"}, path
        assert "properties" not in schema or schema["additionalProperties"] is False, path
    assert SCHEMA["additionalProperties"] is False


def test_the_defaults_are_valid() -> None:
    """values.yaml itself passes its schema."""
    jsonschema.validate(VALUES, SCHEMA)


def test_the_copies_are_current() -> None:
    """The alerts, the dashboard and the configuration of Envoy are those of the folder deploy."""
    assert find_stale(build_files()) == []


def test_a_stale_copy_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A file with another text fails the check, which names the file and the command."""
    stale = {file: text + "#\n" for file, text in build_files().items()}

    assert write_or_check(stale, check=True) == 1
    assert "run `make helm-rendered`: deploy/helm/reasoning-grpc/files/alerts.yaml" in capsys.readouterr().err


def test_the_chart_is_of_the_version_of_the_server() -> None:
    """The chart, its image and the package have one version."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_lock_has_hashes_and_no_hosts() -> None:
    """The lock names each package with its hash, and no address from which it came."""
    lock = LOCK.read_text("utf-8")

    assert lock.count("--hash=") >= lock.count("==") >= 2
    assert "://" not in lock


def test_a_system_without_the_engine_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The chart is left out where there is no engine, which is a failure with --all only."""
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    monkeypatch.setattr("platform.machine", lambda: "mips")

    assert [main([]), main(["--all"])] == [0, 1]

    notice = "left out: the Helm chart, because the engine's package has no library for Plan9 mips\n"
    assert capsys.readouterr().out == 2 * notice
