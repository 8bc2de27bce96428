"""`make dist`: builds the sdist and the wheel, installs the wheel into empty environments, and uses it there.

The wheel is built from the unpacked sdist, so that it shows what an sdist lacks. One environment gets the locked
dependencies of the server with the embedded model; another one the wheel with the dependencies of the client alone, as
`pip install reasoning-grpc` does.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from scripts.licenses import LOCKS, read_pins
from scripts.optional_check import ROOT
from scripts.server_process import run_server

DIST: Final = ROOT / "dist"
ENVIRONMENTS: Final = ROOT / "build" / "dist"
PACKAGE: Final = ROOT / "src" / "reasoning_grpc"
_ASK: Final = """
import asyncio, sys
from reasoning_grpc.client import ReasoningClient, text_request

async def main():
    async with ReasoningClient(sys.argv[1]) as client:
        answer = await client.complete(text_request("What is gRPC?"))
        sys.exit(0 if answer.message.content[0].text else "the answer is empty")

asyncio.run(main())
"""


class DistError(Exception):
    """The distribution is not what it must be; the message says why."""


def main() -> int:
    """Builds, installs and tries the distribution; returns 1 when something is wrong with it."""
    try:
        sdist, wheel = build()
        check_files(wheel)
        server, client = install(wheel)
        try_out(server, client)
    except DistError as exc:
        print(f"dist: {exc}", file=sys.stderr)
        return 1
    print(f"{sdist.name} and {wheel.name} are in {DIST.relative_to(ROOT)}, and work in empty environments.")
    return 0


def build() -> tuple[Path, Path]:
    """Builds the sdist from this checkout and the wheel from the sdist; returns both."""
    shutil.rmtree(DIST, ignore_errors=True)
    _run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(DIST)])
    sdist = _find_one(DIST, "*.tar.gz")
    with TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        source = _find_one(Path(folder), "*")
        _run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(DIST)], source)
    return sdist, _find_one(DIST, "*.whl")


def check_files(wheel: Path) -> None:
    """Raises DistError unless the wheel has each file of the package that git knows, and no other."""
    listed = _run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "."], PACKAGE).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"{PACKAGE.name}/{name}" for name in listed if (PACKAGE / name).is_file()}
    if differences := describe_differences(expected, packed):
        raise DistError(f"the wheel and src/ differ: {differences}")


def describe_differences(expected: set[str], packed: set[str]) -> str:
    """Returns what is missing and what should not be there; empty where nothing is wrong."""
    parts = (("missing", expected - packed), ("unknown", packed - expected))
    return "; ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in parts if names)


def install(wheel: Path) -> tuple[Path, Path]:
    """Installs the wheel into two empty environments: with the locked server, and alone. Returns their folders."""
    shutil.rmtree(ENVIRONMENTS, ignore_errors=True)
    server, client = ENVIRONMENTS / "server", ENVIRONMENTS / "client"
    for environment in (server, client):
        _run([sys.executable, "-m", "venv", "--without-pip", str(environment)])
    lock = LOCKS / "embedded.txt"
    _install(server, ["--no-deps", "--require-hashes", "-r", str(lock)])
    _install(server, ["--no-deps", str(wheel)])
    versions = ENVIRONMENTS / "versions.txt"
    versions.write_text("".join(f"{name}=={version}\n" for name, version in read_pins(lock.read_text("utf-8")).items()))
    _install(client, ["--constraint", str(versions), str(wheel)])
    return server, client


def try_out(server: Path, client: Path) -> None:
    """Runs the installed command, and lets the installed client ask the installed server. Raises DistError."""
    command, python = server / "bin" / "reasoning-grpc", client / "bin" / "python"
    version = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["version"]
    with TemporaryDirectory() as elsewhere:
        folder = Path(elsewhere)
        if (printed := _run([str(command), "--version"], folder)) != f"reasoning-grpc {version}\n":
            raise DistError(f"--version of version {version} prints {printed!r}")
        with run_server(command=command, folder=folder) as address:
            _run([str(command), "ask", "--target", address, "--max-output-tokens", "20", "What is gRPC?"], folder)
            _run([str(python), "-c", _ASK, address], folder)


def _install(environment: Path, arguments: Sequence[str]) -> None:
    """Installs with uv, and where uv cannot reach a package index, with pip, which may know another one."""
    python = str(environment / "bin" / "python")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", python, *arguments]
    try:
        _run([*uv, "--compile-bytecode"])
    except DistError:
        _run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *arguments])


def _find_one(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise DistError(f"{pattern} was to be built once, and there are {[path.name for path in found]}")
    return found[0]


def _run(command: Iterable[str], folder: Path = ROOT) -> str:
    """Runs a command that must succeed, and returns what it prints. Raises DistError with its output."""
    words = list(command)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(words, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        raise DistError(f"`{' '.join(words)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
