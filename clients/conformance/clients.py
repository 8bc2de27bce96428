"""The clients, and how to run their runners."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent
_LONGEST_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a runner."""

    name: str
    needs: tuple[str, ...]
    """Commands without which it cannot be run."""
    command: tuple[str, ...]
    """The runner, from the root of the repository."""
    example: tuple[str, ...]
    """The example program, with a question; it finds the server by REASONING_TARGET."""
    targets: tuple[str, ...] = ()
    """The make targets in the client's folder that build and test it; the Python client is tested by `make test`."""

    @property
    def lacks(self) -> list[str]:
        """The commands that it needs and that are not here."""
        return [command for command in self.needs if shutil.which(command) is None]

    @property
    def left_out(self) -> str:
        """What is said of one that lacks something."""
        return f"left out: {self.name}, for want of {' and '.join(self.lacks)}"


_QUESTION: Final = "What is 23 times 19?"
CLIENTS: Final = (
    Client(
        "python",
        needs=(),
        command=(sys.executable, "-m", "clients.python.conformance"),
        example=(sys.executable, "clients/python/ask.py", _QUESTION),
    ),
    Client(
        "go",
        needs=("go",),
        command=("clients/go/conformance.sh",),
        example=("go", "-C", "clients/go", "run", "./examples/ask", _QUESTION),
        targets=("check-generated", "build", "test", "runner"),
    ),
    Client(
        "typescript",
        needs=("node", "npm"),
        command=("clients/typescript/conformance.sh",),
        example=("node", "clients/typescript/build/examples/ask.js", _QUESTION),
        targets=("check-generated", "build", "test", "runner"),
    ),
    Client(
        "java",
        needs=("java", "mvn"),
        command=("clients/java/conformance.sh",),
        example=("mvn", "-q", "-B", "-f", "clients/java/example", "compile", "exec:java", f"-Dexec.args='{_QUESTION}'"),
        targets=("build", "test", "runner"),
    ),
)


class RunnerFailed(Exception):
    """A runner wrote no results; the message says how it ended."""


async def run(client: Client, plan: Mapping[str, Any]) -> dict[str, Any]:
    """What a runner wrote: results by the names of their scenarios. Raises RunnerFailed."""
    with TemporaryDirectory() as directory:
        asked, told = Path(directory, "plan.json"), Path(directory, "results.json")
        await asyncio.to_thread(asked.write_text, json.dumps(plan), "utf-8")
        code = await _ended(client, asked, told)
        if code:
            raise RunnerFailed(f"ended with {code}")
        return await asyncio.to_thread(_by_name, told)


async def _ended(client: Client, plan: Path, results: Path) -> int:
    """The exit code of the runner."""
    process = await asyncio.create_subprocess_exec(*client.command, str(plan), str(results), cwd=ROOT)
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            return await process.wait()
    except TimeoutError as exc:
        raise RunnerFailed(f"did not end within {_LONGEST_SECONDS} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _by_name(results: Path) -> dict[str, Any]:
    try:
        told = json.loads(results.read_text("utf-8"))["results"]
        found = {result["name"]: result for result in told}
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise RunnerFailed("wrote no results") from exc
    if len(found) < len(told):
        raise RunnerFailed("wrote several results of one scenario")
    return found
