"""Installs what a run needs, once: the older build from git, and the peers and the profiler from the package index."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

BASELINE: Final = "f75c395"
"""The older build with which this one is compared."""
PEERS: Final = ("litellm[proxy]==1.106.2", "tensorzero==2026.6.0", "matplotlib==3.11.0")
"""What is measured beside us, and what draws the plot."""
PROFILER: Final = ("py-spy==0.4.3",)
"""What samples the stacks of a server."""


def install_baseline(root: Path, folder: Path) -> Path:
    """Returns the Python of the older build, which has an environment of its own."""
    tree = folder / f"build-{BASELINE}"
    python = tree / ".venv" / "bin" / "python"
    if not python.exists():
        tree.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", BASELINE], cwd=root, check=True, stdout=subprocess.PIPE).stdout
        subprocess.run(["tar", "-x"], cwd=tree, check=True, input=archive)
        subprocess.run(["make", "setup"], cwd=tree, check=True)
    return python


def compile_modules(python: Path) -> None:
    """Compiles all modules that the Python of a build can import, so that its start is not that of a first start."""
    program = "import reasoning_grpc, site; print(*site.getsitepackages(), *reasoning_grpc.__path__, sep=chr(10))"
    folders = subprocess.run(
        [python, "-c", program],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.splitlines()
    # Some packages have modules that only another version of Python can compile.
    subprocess.run([python, "-m", "compileall", "-q", "-q", "-j", "0", *folders], check=False)


def install_peers(folder: Path) -> Path:
    """Returns the Python with the peers."""
    return _install(PEERS, folder / "peers")


def install_profiler(folder: Path) -> Path:
    """Returns the program py-spy."""
    return _install(PROFILER, folder / "profiler").with_name("py-spy")


def _install(requirements: Sequence[str], folder: Path) -> Path:
    """Returns the Python of an environment with these requirements."""
    python = folder / "bin" / "python"
    marker = folder / "installed"
    wanted = "\n".join(requirements)
    if not marker.exists() or marker.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *requirements], check=True)
        marker.write_text(wanted)
    return python
