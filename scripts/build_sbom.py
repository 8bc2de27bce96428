"""`make sbom`: writes what is in the images as CycloneDX, into build/sbom, and validates it.

There is one file for each image: the locked packages with their versions and hashes, by `cyclonedx-py`, and the
licences that the packages state. Arguments are the names of locks; without any, both images are written.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from scripts.licenses import LOCKS, Package, read_packages
from scripts.optional_check import IMAGE_TOOLS, ROOT, build_make_step, run_steps

SBOM: Final = ROOT / "build" / "sbom"
IMAGES: Final = {"server": "server", "embedded": "server-embedded"}
"""The targets of the Dockerfile by the locks that they install."""
_SPECIFICATION: Final = "1.6"
_VALIDATE: Final = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.from_version(sys.argv[1])).validate_str(sys.stdin.read())
sys.exit(None if problem is None else str(problem))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes and validates the files; returns the exit code of what failed."""
    locks = list(sys.argv[1:] if arguments is None else arguments) or list(IMAGES)
    if code := run_steps(build_make_step(IMAGE_TOOLS / ".ready")):
        return code
    SBOM.mkdir(parents=True, exist_ok=True)
    for lock in locks:
        text = json.dumps(add_licenses(_read_components(LOCKS / f"{lock}.txt"), _read_licensed(lock)), indent=2)
        command = [str(IMAGE_TOOLS / "bin" / "python"), "-c", _VALIDATE, _SPECIFICATION]
        if code := subprocess.run(command, input=text, text=True, check=False).returncode:
            return code
        file = SBOM / f"{IMAGES[lock]}.cdx.json"
        file.write_text(f"{text}\n", "utf-8")
        print(f"{file.relative_to(ROOT)}: {len(json.loads(text)['components'])} packages")
    return 0


def _read_components(lock: Path) -> dict[str, Any]:
    """Returns the document that cyclonedx-py writes about a lock."""
    command = [
        str(IMAGE_TOOLS / "bin" / "cyclonedx-py"),
        "requirements",
        "--pyproject",
        "pyproject.toml",
        "--mc-type",
        "application",
    ]
    command += ["--spec-version", _SPECIFICATION, "--output-format", "JSON", "--output-reproducible", "--validate"]
    # Without variables that name an index, the document names the public one, whatever this machine uses.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    # It warns that a lock does not say which package needs which.
    environment["PYTHONWARNINGS"] = "ignore::UserWarning"
    done = subprocess.run(
        [*command, "--output-file", "-", str(lock)], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def _read_licensed(lock: str) -> Mapping[str, Package]:
    return {package.name: package for package in read_packages(LOCKS / f"{lock}.txt")}


def add_licenses(document: dict[str, Any], packages: Mapping[str, Package]) -> dict[str, Any]:
    """Returns the document with the packages that the image has, and the licence of each of them.

    The lock also names packages for other systems, which are left out. A package is referred to by its name and version
    in place of its line in the lock, which the description repeats. Raises ValueError when a package is missing.
    """
    kept = {part["bom-ref"]: part for part in document["components"] if part["name"] in packages}
    if missing := packages.keys() - {part["name"] for part in kept.values()}:
        raise ValueError(f"the document lacks {sorted(missing)}")
    names = {ref: f"{part['name']}=={part['version']}" for ref, part in kept.items()}
    components = [
        {key: value for key, value in part.items() if key != "description"}
        | {"bom-ref": names[ref], "licenses": [describe_license(packages[part["name"]].license)]}
        for ref, part in kept.items()
    ]
    # A lock does not say which package needs which, so there is no graph.
    return document | {"components": components, "dependencies": []}


def describe_license(statement: str) -> dict[str, Any]:
    """Returns a licence as CycloneDX has it: an SPDX expression, or the name that a package gives it."""
    if "," in statement or statement == "unknown" or " of unstated form" in statement:
        return {"license": {"name": statement}}
    return {"expression": statement}


if __name__ == "__main__":
    sys.exit(main())
