"""Part of `make clients`: does what each client's quick start says, word for word, in an empty folder.

A server on the embedded model listens on 127.0.0.1:50051, as the READMEs assume, and beside the folder stands the
checkout, as `reasoning-grpc`.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from clients.conformance.clients import CLIENTS, Client
from scripts.readme import Block, blocks, section
from scripts.served import served

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1:50051"


class QuickStartFailed(Exception):
    """What a README says does not work; the message says what."""


def quick_start(readme: str) -> list[Block]:
    """The blocks of a README's quick start, in their order: commands for sh, and files. Raises QuickStartFailed."""
    text = section(readme, "Quick start")
    if text is None:
        raise QuickStartFailed("there is no section Quick start")
    found = [block for block in blocks(text) if block.language]
    for block in found:
        if block.language != "sh" and not block.file:
            raise QuickStartFailed(f"a block of {block.language} has no file's name before it")
    return found


def follow(client: Client) -> str:
    """Does what the README of a client says; returns what was printed. Raises QuickStartFailed."""
    readme = ROOT.joinpath("clients", client.name, "README.md").read_text("utf-8")
    printed = ""
    with TemporaryDirectory() as directory:
        Path(directory, "reasoning-grpc").symlink_to(ROOT)
        project = Path(directory, "hello")
        project.mkdir()
        for block in quick_start(readme):
            if block.language != "sh":
                path = project / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, "utf-8")
            else:
                printed += _run(block.text, project)
    return printed


def _run(commands: str, project: Path) -> str:
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=project, check=False, capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        raise QuickStartFailed(f"ended with {done.returncode}:\n{commands}{done.stdout}{done.stderr}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Follows the quick starts of the clients whose toolchain is here; 1 when one fails."""
    parser = argparse.ArgumentParser(description="Follow the quick start of each client.")
    parser.add_argument("--client", action="append", choices=[client.name for client in CLIENTS])
    parser.add_argument("--all", action="store_true", help="fail when a toolchain is missing")
    options = parser.parse_args(arguments)
    wanted = [client for client in CLIENTS if not options.client or client.name in options.client]
    failed = False
    with served("--listen", ADDRESS):
        for client in wanted:
            if client.lacks:
                print(client.left_out)
                failed |= options.all or bool(options.client)
                continue
            failed |= not _worked(client)
    return int(failed)


def _worked(client: Client) -> bool:
    try:
        printed = follow(client)
    except (QuickStartFailed, subprocess.TimeoutExpired) as exc:
        print(f"FAIL  quick start of {client.name}: {exc}")
        return False
    if "MODEL_NOT_FOUND" not in printed:
        print(f"FAIL  quick start of {client.name}: it shows no error's reason; it printed:\n{printed}")
        return False
    print(f"ok    quick start of {client.name}")
    return True


if __name__ == "__main__":
    sys.exit(main())
