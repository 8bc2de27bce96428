"""`make command-lines`: runs the documentation's commands that call a server, word for word.

They stand in the `sh` blocks of the README and of docs/: grpcurl, `buf curl`, ghz and `reasoning-grpc`. The servers are
those that the commands name, on the embedded model, one at a time. grpcurl and ghz must be on the PATH.

The commands of docs/envoy.md call Envoy: `make envoy` runs those.
"""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme

from scripts.pages import ROOT, find_blocks, read_pages, split_commands
from scripts.server_process import COMMAND, run_server

_RUN_ELSEWHERE = {"docs/envoy.md"}
"""The pages whose commands another target runs."""
_HASH = "sha256:<what `reasoning-grpc token new` printed>"
_LONGEST_SECONDS = 600
_NOT_FOUND = 5
_REASON_IN_BASE64 = re.escape(base64.b64encode(b"\n\x0fMODEL_NOT_FOUND\x12").decode())
"""The beginning of an ErrorInfo with this reason: 18 bytes, so that nothing after them changes these characters."""

DEFAULT_ADDRESS = "127.0.0.1:50051"
_TOKENS = {"--config": "guarded.toml"}
_TLS = {"--tls-certificate": "server.pem", "--tls-key": "server.key"}
SERVERS: Mapping[str, Mapping[str, str]] = {
    DEFAULT_ADDRESS: {},
    "127.0.0.1:50052": _TOKENS,
    "127.0.0.1:50053": _TOKENS | _TLS,
}
"""The addresses that the commands name, each with the flags of its server, which all name files."""
OWN_COMMAND = ".venv/bin/reasoning-grpc "
"""What begins a command of ours; it calls the default address."""


class CommandLineFailed(Exception):
    """What the documentation says does not work; the message says what."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """The result that a command must have, for the commands in which a pattern is found."""

    command: str
    output: str
    """A pattern that must be found in the output."""
    code: int = 0
    """The exit code."""


EXPECTATIONS = (
    Expectation(r"^\S+/reasoning-grpc ask .*--json", r'(?s)"started".*"content_delta".*"completed"'),
    Expectation(r"^\S+/reasoning-grpc ask .*--orchestrate", r"(?s)orchestration with smollm2.*tokens"),
    Expectation(r"^\S+/reasoning-grpc ask .*--reason", r"(?s)reasoning with smollm2.*step 1.*tokens"),
    Expectation(r"^\S+/reasoning-grpc ask ", r"(?s)passthrough with smollm2.*tokens"),
    Expectation(r"^\S+/reasoning-grpc classify ", r"^passthrough with smollm2"),
    Expectation(r"^\S+/reasoning-grpc models", r"smollm2-135m-instruct"),
    Expectation(r"(?s)^ghz .* -n 20 ", r"Status code distribution:\s+\[OK\]\s+20 responses\s*\Z"),
    Expectation(r"(?s)^grpcurl .*no-such-model", r'"reason": "MODEL_NOT_FOUND"', code=64 + _NOT_FOUND),
    Expectation(r"(?s)^\S+/buf curl .*no-such-model", _REASON_IN_BASE64, code=8 * _NOT_FOUND),
    Expectation(r" list$| --list-methods ", r"(?m)^reasoning_grpc\.v1\.ReasoningService"),
    Expectation(r" describe \S+Service$", r"rpc StreamComplete "),
    Expectation(r" describe \S+Request$", r"Message messages = "),
    Expectation(r"(?s)_REASONING\b.*tee paused\.json$", r'(?s)"tool_call".*"paused_run".*_TOOL_CALLS"'),
    Expectation(r"(?s)paused\.json.*/Complete$", r'(?s)"steps".*"reasoning_finished".*"finish_reason"'),
    Expectation(r"(?s)_REASONING\b.*/StreamComplete$", r'(?s)"step_started".*"reasoning_finished".*"completed"'),
    Expectation(r"(?s)_REASONING\b.*/Complete$", r'(?s)"steps".*"reasoning_finished"'),
    Expectation(r"/StreamComplete$", r'(?s)"started".*"content_?[dD]elta".*"completed"'),
    Expectation(r"/Complete$", r'(?s)"response_?[iI]d": "rsp_.*"finish_?[rR]eason"'),
    Expectation(r"/Classify$", r'"source": "ROUTE_SOURCE_DEFAULT"'),
    Expectation(r"/ListModels$", r'"name": "smollm2-135m-instruct"'),
    Expectation(r"/Check$", r'"status": "SERVING"'),
    Expectation(r"\.Health/List$", r'(?s)"readiness": \{\s*"status": "SERVING"'),
)
"""The first one whose pattern is found in a command counts."""


def find_command_lines(pages: Mapping[str, str]) -> list[str]:
    """Returns the commands of all pages, each one once. Raises CommandLineFailed when there are none."""
    found = [
        command
        for path, page in pages.items()
        if path not in _RUN_ELSEWHERE
        for block in find_blocks(page, "sh")
        for command in split_commands(block.text)
    ]
    if not found:
        raise CommandLineFailed("the documentation has no commands")
    return list(dict.fromkeys(found))


def find_address(command: str) -> str:
    """Returns the address of the server that a command calls. Raises CommandLineFailed."""
    for address in SERVERS:
        if address in command:
            return address
    if command.startswith(OWN_COMMAND):
        return DEFAULT_ADDRESS
    raise CommandLineFailed(f"it names no address of a server: {command}")


def find_expectation(command: str) -> Expectation:
    """Returns the result that a command must have. Raises CommandLineFailed."""
    for expectation in EXPECTATIONS:
        if re.search(expectation.command, command.strip()):
            return expectation
    raise CommandLineFailed("no expectation is written down for it")


def judge(command: str, code: int, output: str) -> None:
    """Raises CommandLineFailed when this is not the result that the command must have."""
    expected = find_expectation(command)
    if code != expected.code:
        raise CommandLineFailed(f"it exited with {code}, not {expected.code}:\n{output}")
    if not re.search(expected.output, output):
        raise CommandLineFailed(f"{expected.output} is not in its output:\n{output}")


def main() -> int:
    """Runs every command; returns 1 when one of them did not do what it must."""
    pages = read_pages()
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        try:
            environment = os.environ | {"TOKEN": _furnish(folder, pages)}
            failed = [command for command in _serve(pages, folder) if not _works(command, folder, environment)]
        except (CommandLineFailed, RuntimeError) as exc:
            print(f"command lines: FAILED: {exc}", file=sys.stderr)
            return 1
    return int(bool(failed))


def _furnish(folder: Path, pages: Mapping[str, str]) -> str:
    """Puts into the folder what the commands and the servers need; returns the token."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "protos").symlink_to(ROOT / "protos")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    output = subprocess.run([COMMAND, "token", "new"], check=True, capture_output=True, text=True).stdout
    printed: dict[str, str] = dict(re.findall(r"^(token|token_hash): *(\S+)$", output, re.MULTILINE))
    configuration = find_guarded_configuration(pages["docs/command-line.md"])
    (folder / "guarded.toml").write_text(configuration.replace(_HASH, printed["token_hash"]), "utf-8")
    return printed["token"]


def find_guarded_configuration(page: str) -> str:
    """Returns the configuration with a token that a page shows. Raises CommandLineFailed."""
    for block in find_blocks(page, "toml"):
        if _HASH in block.text:
            return block.text
    raise CommandLineFailed("the page shows no configuration with a token")


def _serve(pages: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Yields the commands, each while the server that it calls is running."""
    calls = [(find_address(command), command) for command in find_command_lines(pages)]
    for address, flags in SERVERS.items():
        files = [part for flag, name in flags.items() for part in (flag, str(folder / name))]
        with run_server("--listen", address, *files):
            yield from (command for called, command in calls if called == address)


def _works(command: str, folder: Path, environment: Mapping[str, str]) -> bool:
    """Runs a command, prints the outcome, and returns whether it did what it must."""
    try:
        judge(command, *_run(command, folder, environment))
    except CommandLineFailed as exc:
        print(f"FAIL  {command}{exc}", flush=True)
        return False
    print(f"ok    {command}", end="", flush=True)
    return True


def _run(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Returns the exit code of a command and its output. Raises CommandLineFailed."""
    try:
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=folder,
            env=environment,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise CommandLineFailed(f"it did not end within {_LONGEST_SECONDS} s") from None
    return done.returncode, done.stdout


if __name__ == "__main__":
    sys.exit(main())
