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

    @property
    def lacks(self) -> list[str]:
        """The commands that it needs and that are not here."""
        return [command for command in self.needs if shutil.which(command) is None]

    @property
    def left_out(self) -> str:
        """What is said of one that lacks something."""
        return f"left out: {self.name}, for want of {' and '.join(self.lacks)}"


CLIENTS: Final = (
    Client("python", (), (sys.executable, "-m", "clients.python.conformance")),
    Client("go", ("go",), ("clients/go/conformance.sh",)),
    Client("typescript", ("node", "npm"), ("clients/typescript/conformance.sh",)),
    Client("java", ("java", "mvn"), ("clients/java/conformance.sh",)),
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
