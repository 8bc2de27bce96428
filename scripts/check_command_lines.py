"""`make command-lines`: runs the README's commands of grpcurl, `buf curl` and ghz, word for word.

The servers are those that the README names, on the embedded model, one at a time. grpcurl and ghz must be on the PATH.
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

from scripts.readme import blocks, commands, section
from scripts.served import COMMAND, served

ROOT = Path(__file__).resolve().parent.parent
TITLE = "From the command line"
_HASH = "sha256:<what `reasoning-grpc token new` printed>"
_LONGEST_SECONDS = 600
_NOT_FOUND = 5
_REASON_IN_BASE64 = re.escape(base64.b64encode(b"\n\x0fMODEL_NOT_FOUND\x12").decode())
"""The beginning of an ErrorInfo with this reason: 18 bytes, so that nothing after them shows in it."""

_TOKENS = {"--config": "guarded.toml"}
_TLS = {"--tls-certificate": "server.pem", "--tls-key": "server.key"}
SERVERS: Mapping[str, Mapping[str, str]] = {
    "127.0.0.1:50051": {},
    "127.0.0.1:50052": _TOKENS,
    "127.0.0.1:50053": _TOKENS | _TLS,
}
"""The addresses that the README names, each with the flags of its server, which all name files."""


class CommandLineFailed(Exception):
    """What the README says does not work; the message says what."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must come of the commands in which a pattern is found."""

    command: str
    output: str
    """A pattern that is found in what they print."""
    code: int = 0
    """What they exit with."""


EXPECTATIONS = (
    Expectation(r"(?s)^ghz .* -n 20 ", r"Status code distribution:\s+\[OK\]\s+20 responses\s*\Z"),
    Expectation(r"(?s)^grpcurl .*no-such-model", r'"reason": "MODEL_NOT_FOUND"', code=64 + _NOT_FOUND),
    Expectation(r"(?s)^\S+/buf curl .*no-such-model", _REASON_IN_BASE64, code=8 * _NOT_FOUND),
    Expectation(r" list$| --list-methods ", r"(?m)^reasoning_grpc\.v1\.ReasoningService"),
    Expectation(r" describe \S+Service$", r"rpc StreamComplete "),
    Expectation(r" describe \S+Request$", r"Message messages = "),
    Expectation(r"(?s)_REASONING\b.*/StreamComplete$", r'(?s)"step_started".*"reasoning_finished".*"completed"'),
    Expectation(r"/StreamComplete$", r'(?s)"started".*"content_?[dD]elta".*"completed"'),
    Expectation(r"/Complete$", r'(?s)"response_?[iI]d": "rsp_.*"finish_?[rR]eason"'),
    Expectation(r"/Classify$", r'"source": "ROUTE_SOURCE_DEFAULT"'),
    Expectation(r"/ListModels$", r'"name": "smollm2-135m-instruct"'),
    Expectation(r"/Check$", r'"status": "SERVING"'),
)
"""The first whose pattern is found in a command counts."""


def command_lines(readme: str) -> list[str]:
    """The commands of the section, in their order. Raises CommandLineFailed when there are none."""
    text = section(readme, TITLE) or ""
    found = [command for block in blocks(text) if block.language == "sh" for command in commands(block.text)]
    if not found:
        raise CommandLineFailed(f"the README has no commands under {TITLE}")
    return found


def address_of(command: str) -> str:
    """The server that a command calls. Raises CommandLineFailed."""
    for address in SERVERS:
        if address in command:
            return address
    raise CommandLineFailed(f"it names no address of a server: {command}")


def expectation_of(command: str) -> Expectation:
    """What must come of a command. Raises CommandLineFailed."""
    for expectation in EXPECTATIONS:
        if re.search(expectation.command, command.strip()):
            return expectation
    raise CommandLineFailed("nobody has said what must come of it")


def judge(command: str, code: int, output: str) -> None:
    """Raises CommandLineFailed when this is not what must come of the command."""
    expected = expectation_of(command)
    if code != expected.code:
        raise CommandLineFailed(f"it exited with {code}, not {expected.code}:\n{output}")
    if not re.search(expected.output, output):
        raise CommandLineFailed(f"{expected.output} is not in what it printed:\n{output}")


def main() -> int:
    """Runs every command; 1 when one of them did not do what it must."""
    readme = ROOT.joinpath("README.md").read_text("utf-8")
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        try:
            environment = os.environ | {"TOKEN": _furnish(folder, readme)}
            failed = [command for command in _served(readme, folder) if not _works(command, folder, environment)]
        except (CommandLineFailed, RuntimeError) as exc:
            print(f"command lines: FAILED: {exc}", file=sys.stderr)
            return 1
    return int(bool(failed))


def _furnish(folder: Path, readme: str) -> str:
    """Puts into the folder what the commands and the servers need; returns the token."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "protos").symlink_to(ROOT / "protos")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.pem").write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    printed = subprocess.run([COMMAND, "token", "new"], check=True, capture_output=True, text=True).stdout
    told: dict[str, str] = dict(re.findall(r"^(token|token_hash): *(\S+)$", printed, re.MULTILINE))
    (folder / "guarded.toml").write_text(guarded(readme).replace(_HASH, told["token_hash"]), "utf-8")
    return told["token"]


def guarded(readme: str) -> str:
    """The configuration with a token that the section shows. Raises CommandLineFailed."""
    for block in blocks(section(readme, TITLE) or ""):
        if block.language == "toml" and _HASH in block.text:
            return block.text
    raise CommandLineFailed(f"the README shows no configuration with a token under {TITLE}")


def _served(readme: str, folder: Path) -> Iterator[str]:
    """The commands, each while the server that it calls is running."""
    called = [(address_of(command), command) for command in command_lines(readme)]
    for address, flags in SERVERS.items():
        files = [part for flag, name in flags.items() for part in (flag, str(folder / name))]
        with served("--listen", address, *files):
            yield from (command for of, command in called if of == address)


def _works(command: str, folder: Path, environment: Mapping[str, str]) -> bool:
    """Runs a command, and tells whether it did what it must."""
    try:
        judge(command, *_run(command, folder, environment))
    except CommandLineFailed as exc:
        print(f"FAIL  {command}{exc}", flush=True)
        return False
    print(f"ok    {command}", end="", flush=True)
    return True


def _run(command: str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of a command, and what it printed. Raises CommandLineFailed."""
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
