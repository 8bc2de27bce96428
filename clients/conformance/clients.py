"""Lists the clients, and runs their conformance runners."""

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
_TIMEOUT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Client:
    """A client that has a conformance runner."""

    name: str
    needs: tuple[str, ...]
    """The commands that must be installed for running it."""
    command: tuple[str, ...]
    """The command that starts the runner, from the root of the repository."""
    example: tuple[str, ...]
    """The command that runs the example program. It takes the server's address from REASONING_TARGET."""
    targets: tuple[str, ...] = ()
    """The make targets in the client's folder that build and test it. `make test` tests the Python client."""

    @property
    def missing_commands(self) -> list[str]:
        """Returns the needed commands that are not installed."""
        return [command for command in self.needs if shutil.which(command) is None]

    @property
    def omission_notice(self) -> str:
        """Returns the line that reports that the client is left out, and what is missing."""
        return f"left out: {self.name}, because {' and '.join(self.missing_commands)} cannot be found"


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
    """Runs the runner of a client; returns its results by the names of the scenarios. Raises RunnerFailed."""
    with TemporaryDirectory() as directory:
        plan_path, results_path = Path(directory, "plan.json"), Path(directory, "results.json")
        await asyncio.to_thread(plan_path.write_text, json.dumps(plan), "utf-8")
        code = await _run_command(client, plan_path, results_path)
        if code:
            raise RunnerFailed(f"ended with {code}")
        return await asyncio.to_thread(_read_results, results_path)


async def _run_command(client: Client, plan: Path, results: Path) -> int:
    """Runs the command of the runner, and returns its exit code. Raises RunnerFailed after the timeout."""
    process = await asyncio.create_subprocess_exec(*client.command, str(plan), str(results), cwd=ROOT)
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            return await process.wait()
    except TimeoutError as exc:
        raise RunnerFailed(f"did not end within {_TIMEOUT_SECONDS} s") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _read_results(path: Path) -> dict[str, Any]:
    try:
        results = json.loads(path.read_text("utf-8"))["results"]
        found = {result["name"]: result for result in results}
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise RunnerFailed("wrote no results") from exc
    if len(found) < len(results):
        raise RunnerFailed("wrote several results of one scenario")
    return found
