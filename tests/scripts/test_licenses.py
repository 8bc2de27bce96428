"""The page of licences has every locked package, with the licence that it states; so has the SBOM."""

import re
from typing import Any, Final

import pytest

from scripts.build_sbom import add_licenses, describe_license
from scripts.licenses import LOCKS, LicenseError, Package, find_license, read_packages, read_pins
from scripts.licenses_table import PAGE, replace_tables

LOCK: Final = """
aiohttp==3.14.5 \\
    --hash=sha256:00
async-timeout==5.0.1 ; python_full_version < '3.11.3' \\
    --hash=sha256:01
hf-xet==1.8.0 ; platform_machine == 'aarch64' or platform_machine == 'x86_64' \\
    --hash=sha256:02
    # via huggingface-hub
pywin32==312 ; sys_platform == 'win32' \\
    --hash=sha256:03
"""


def test_the_tables_are_those_of_the_locks() -> None:
    """The tables are those that scripts/licenses_table.py writes, and each package stands in one of them."""
    page = PAGE.read_text("utf-8")
    locked = read_pins((LOCKS / "dev.txt").read_text("utf-8"))

    assert replace_tables(page) == page
    assert dict(re.findall(r"^\| ([\w.-]+) \| (\d[\w.]*) \| [^|]+ \|$", page, re.MULTILINE)) == locked


def test_no_licence_in_the_image_is_a_surprise() -> None:
    """What is in the images asks for more than notices in these packages alone, and no package is silent."""
    packages = read_packages(LOCKS / "embedded.txt")

    assert {package.name for package in packages if package.has_conditions} == {"certifi", "tqdm"}
    assert [package.name for package in packages if package.license == "unknown"] == []


def test_a_page_without_a_place_is_refused() -> None:
    """A table that the page does not have is no table that is up to date."""
    with pytest.raises(ValueError, match="no place"):
        replace_tables("# Licences\n")


def test_pins_are_those_of_linux() -> None:
    """A lock names packages for every system, and the image has those of its own."""
    assert read_pins(LOCK) == {"aiohttp": "3.14.5", "hf-xet": "1.8.0"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        pytest.param({"License-Expression": ["MIT AND (Apache-2.0 OR ISC)"], "License": ["x"]}, None, id="expression"),
        pytest.param({"License": ["Apache 2.0"]}, "Apache-2.0", id="text"),
        pytest.param({"License": ["MIT License\n\nCopyright (c) 2022"]}, "MIT", id="whole text"),
        pytest.param({"License": ["MPL-2.0 AND MIT"]}, "MPL-2.0 AND MIT", id="expression in the text"),
        pytest.param(
            {"License": ["Dual License"], "Classifier": ["License :: OSI Approved :: Apache Software License"]},
            "Apache-2.0",
            id="classifier",
        ),
        pytest.param(
            {
                "License": ["Copyright (c) 2021"],
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    "License :: OSI Approved :: BSD License",
                    "Topic :: Internet",
                ],
            },
            "BSD, of unstated form, MIT",
            id="several classifiers",
        ),
        pytest.param({"License": ["Do what you like"], "Classifier": []}, "unknown", id="nothing"),
    ],
)
def test_a_licence_is_what_the_package_states(statements: dict[str, list[str]], expected: str | None) -> None:
    """The newest field counts that names a licence, and no licence is guessed."""
    assert find_license(statements) == (expected or statements["License-Expression"][0])


@pytest.mark.parametrize(
    ("stated", "has_conditions"),
    [
        ("MIT", False),
        ("BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0", False),
        ("MPL-2.0 AND MIT", True),
        ("LGPL-3.0-only", True),
        ("LicenseRef-Proprietary", True),
        ("unknown", True),
    ],
)
def test_copyleft_and_silence_need_a_look(stated: str, has_conditions: bool) -> None:
    """Copyleft of any strength, a licence of its own, and no statement are named on the page."""
    assert Package("x", "1", stated).has_conditions == has_conditions


def test_another_version_is_not_described(tmp_path: Any) -> None:
    """The licence of an installed version says nothing about another one."""
    lock = tmp_path / "lock.txt"
    lock.write_text("grpcio==0.0.1\n")

    with pytest.raises(LicenseError, match=r"not 0\.0\.1"):
        read_packages(lock)


def test_the_sbom_gets_licences_and_loses_other_systems() -> None:
    """Each package of the image has its licence, and a package for another system is in no list."""
    line = {"description": "requirements line 1: a==1", "version": "1"}
    document = {
        "components": [{"name": "a", "bom-ref": "L1", **line}, {"name": "pywin32", "bom-ref": "L2", **line}],
        "dependencies": [{"ref": "L1"}, {"ref": "L2"}],
        "version": 1,
    }

    written = add_licenses(document, {"a": Package("a", "1", "MIT")})

    assert written == {
        "components": [{"name": "a", "bom-ref": "a==1", "version": "1", "licenses": [{"expression": "MIT"}]}],
        "dependencies": [],
        "version": 1,
    }
    with pytest.raises(ValueError, match="lacks"):
        add_licenses(document, {"b": Package("b", "1", "MIT")})
    assert describe_license("Apache-2.0, MIT") == {"license": {"name": "Apache-2.0, MIT"}}
    assert describe_license("unknown") == {"license": {"name": "unknown"}}
