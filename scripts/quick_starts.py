"""Part of `make clients`: follows each client's quick start, word for word, in an empty folder.

A server on the embedded model listens on 127.0.0.1:50051, as the pages assume, and the checkout stands beside the
folder, as `reasoning-grpc`. Then the program that the README of the repository shows for that language takes the place
of the quick start's program, and runs by the same last commands.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from clients.conformance.clients import CLIENTS, Client
from scripts.pages import ROOT, Block, find_blocks, find_section
from scripts.server_process import run_server

ADDRESS: Final = "127.0.0.1:50051"
PROGRAMS: Final = {"python": "main.py", "go": "main.go", "typescript": "main.ts", "java": "src/main/java/Main.java"}
"""The file of each client's program, in its quick start."""


class QuickStartFailed(Exception):
    """What a README says does not work; the message says what."""


def find_quick_start(page: str) -> list[Block]:
    """Returns the blocks of a quick start in their order: commands for sh, and files. Raises QuickStartFailed."""
    text = find_section(page, "Quick start")
    if text is None:
        raise QuickStartFailed("there is no section Quick start")
    found = [block for block in find_blocks(text) if block.language]
    for block in found:
        if block.language != "sh" and not block.file:
            raise QuickStartFailed(f"a block of {block.language} has no file's name before it")
    return found


def find_program(readme: str, quick_start: Sequence[Block], file: str) -> str:
    """Returns the program that the repository's README shows in the language of this file of a quick start.

    Raises QuickStartFailed when there is none.
    """
    languages = {block.language for block in quick_start if block.file == file}
    programs = [block.text for language in languages for block in find_blocks(readme, language)]
    if len(programs) != 1:
        raise QuickStartFailed(f"the README of the repository has no program, or several, for {file}")
    return programs[0]


def follow(client: Client) -> tuple[str, str]:
    """Follows the quick start of a client; returns its output, and that of the README's program.

    Raises QuickStartFailed.
    """
    quick_start = find_quick_start(ROOT.joinpath("clients", client.name, "README.md").read_text("utf-8"))
    file = PROGRAMS[client.name]
    output, last_commands = "", ""
    with TemporaryDirectory() as directory:
        Path(directory, "reasoning-grpc").symlink_to(ROOT)
        project = Path(directory, "hello")
        for block in quick_start:
            if block.language == "sh":
                output += _run(block.text, project)
                last_commands = block.text
            else:
                _write(project / block.file, block.text)
        _write(project / file, find_program(ROOT.joinpath("README.md").read_text("utf-8"), quick_start, file))
        return output, _run(last_commands, project)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _run(commands: str, project: Path) -> str:
    project.mkdir(exist_ok=True)
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=project, check=False, capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        raise QuickStartFailed(f"ended with {done.returncode}:\n{commands}{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Follows the quick starts of the clients whose toolchain is here; returns 1 when one fails."""
    parser = argparse.ArgumentParser(description="Follow the quick start of each client.")
    parser.add_argument("--client", action="append", choices=[client.name for client in CLIENTS])
    parser.add_argument("--all", action="store_true", help="fail when a toolchain is missing")
    options = parser.parse_args(arguments)
    selected = [client for client in CLIENTS if not options.client or client.name in options.client]
    failed = False
    with run_server("--listen", ADDRESS):
        for client in selected:
            if client.missing_commands:
                print(client.omission_notice)
                failed |= options.all or bool(options.client)
                continue
            failed |= not _works(client)
    return int(failed)


def _works(client: Client) -> bool:
    """Follows a quick start, prints the outcome, and returns whether it did what it must."""
    try:
        output, answer = follow(client)
    except (QuickStartFailed, subprocess.TimeoutExpired) as exc:
        print(f"FAIL  quick start of {client.name}: {exc}")
        return False
    if "MODEL_NOT_FOUND" not in output:
        print(f"FAIL  quick start of {client.name}: it shows no error's reason; it printed:\n{output}")
        return False
    if len(answer.split()) < 2:
        print(f"FAIL  the README's program of {client.name}: it shows no answer; it printed:\n{answer}")
        return False
    print(f"ok    quick start of {client.name}, and the program of the README")
    return True


if __name__ == "__main__":
    sys.exit(main())
