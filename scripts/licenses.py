"""Reads the locks of dependencies, and the licence of each package as the package itself states it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from packaging.markers import Marker

from scripts.pages import ROOT

LOCKS: Final = ROOT / "requirements"
_PIN: Final = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?$", re.MULTILINE
)
_LINUX: Final = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.15",
    "python_version": "3.11",
    "sys_platform": "linux",
}
"""Where the image runs: a package that is not for it is not in the image, and not in a table of what is."""

_TERMS: Final = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "MIT Licence": "MIT",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The MIT License (MIT)": "MIT",
    "The Unlicense (Unlicense)": "Unlicense",
}
"""What packages write in place of the SPDX identifier. A term that means several licences is not here."""
_VAGUE: Final = {"BSD License": "BSD, of unstated form", "DFSG approved": ""}
"""Classifiers that name no single licence, and what stands for them where a package states nothing else."""
_EXPRESSION: Final = re.compile(r"\(?[A-Z][\w.-]*\)?(?: (?:AND|OR|WITH) \(?[A-Z0-9][\w.-]*\)?)*")
_IDENTIFIERS: Final = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "PSF-2.0", "Unlicense"}
)
"""The identifiers that an old free text must consist of to be read as an expression."""
_CONDITIONAL: Final = re.compile(r"\b(?:A?GPL|LGPL|MPL|EPL|CDDL|EUPL|OSL|SSPL|BUSL|LicenseRef)\b|^unknown$")


class LicenseError(Exception):
    """A package that a lock names is not installed; the message says which."""


@dataclass(frozen=True, slots=True)
class Package:
    """A locked package, and what it may be used for."""

    name: str
    version: str
    license: str
    """An SPDX expression, or the words of the package where they are none; `unknown` where it states nothing."""

    @property
    def has_conditions(self) -> bool:
        """Whether the licence asks for more than notices: copyleft, a licence that is not free, or no statement."""
        return bool(_CONDITIONAL.search(self.license))


def read_pins(lock: str) -> dict[str, str]:
    """Returns the versions of the packages that a lock installs on Linux, by their names, in the order of the lock."""
    pins = {}
    for found in _PIN.finditer(lock):
        if found["marker"] is None or Marker(found["marker"]).evaluate(dict(_LINUX)):
            pins[found["name"]] = found["version"]
    return pins


def read_packages(lock: Path) -> list[Package]:
    """Returns the packages of a lock with their licences. Raises LicenseError for one that is not installed here."""
    return [_describe(name, version) for name, version in read_pins(lock.read_text("utf-8")).items()]


def _describe(name: str, version: str) -> Package:
    try:
        installed = distribution(name)
    except ModuleNotFoundError as exc:
        raise LicenseError(f"{name} is not installed, so its licence cannot be read: run `make setup`") from exc
    if installed.version != version:
        raise LicenseError(f"{name} is installed in version {installed.version}, not {version}: run `make setup`")
    return Package(name, version, find_license(_read_statements(installed)))


def _read_statements(installed: Distribution) -> Mapping[str, list[str]]:
    metadata = installed.metadata
    return {name: metadata.get_all(name) or [] for name in ("License-Expression", "License", "Classifier")}


def find_license(statements: Mapping[str, list[str]]) -> str:
    """Returns the licence by the fields of a package's metadata: the newest field that says which one it is.

    `License-Expression` is an SPDX expression. `License` is free text, whose first line may be the title of a licence.
    Classifiers are categories, of which some hold several licences. Several of them leave open whether one or all
    apply, and are joined with a comma.
    """
    if expression := next(iter(statements.get("License-Expression", [])), ""):
        return expression
    text = next(iter(statements.get("License", [])), "").strip().partition("\n")[0]
    if (named := _TERMS.get(text, text)) and _is_expression(named):
        return named
    categories = list(_list_categories(statements.get("Classifier", [])))
    precise = [_TERMS[category] for category in categories if category in _TERMS]
    vague = [_VAGUE[category] for category in categories if _VAGUE.get(category)]
    return ", ".join(sorted(dict.fromkeys(precise + vague))) or "unknown"


def _is_expression(text: str) -> bool:
    words = re.sub(r"[()]", " ", text).split()
    return bool(_EXPRESSION.fullmatch(text)) and {*words} - {"AND", "OR"} <= _IDENTIFIERS


def _list_categories(classifiers: list[str]) -> Iterator[str]:
    """Yields the last part of each classifier that is about a licence."""
    for classifier in classifiers:
        kind, *_, category = classifier.split(" :: ")
        if kind == "License":
            yield category
