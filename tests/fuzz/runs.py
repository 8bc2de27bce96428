"""`Run`: one target that atheris fuzzes, in a process of its own, and what its output says."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz.seeds import list_words
from tests.fuzz.targets import CORPUS, TARGETS

ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDER: Final = ROOT / "build" / "fuzz"
_TOOLS: Final = ROOT / ".tools" / "fuzz"
_MOST_BYTES: Final = 4096
_LONGEST_SECONDS: Final = 30
"""An input that takes longer hangs."""
_MOST_MEGABYTES: Final = 600
_STATE: Final = re.compile(
    r"^#(?P<executions>\d+)\s+(?P<event>[A-Z]+)\s+cov: (?P<coverage>\d+).*?corp: (?P<inputs>\d+).*?"
    r"exec/s: (?P<rate>\d+) rss: (?P<megabytes>\d+)Mb",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class State:
    """What libFuzzer reports from time to time."""

    executions: int = 0
    coverage: int = 0
    """The branches of our code that were taken."""
    inputs: int = 0
    """The inputs that cover more than those before them."""
    rate: int = 0
    """Executions a second."""
    megabytes: int = 0


@dataclass(slots=True)
class Run:
    """One target, and the folder where it is fuzzed."""

    name: str
    folder: Path
    output: str = ""
    states: list[State] = field(default_factory=list)

    def fuzz(self, *, seconds: int) -> None:
        """Fuzzes for so long, or up to the first finding."""
        options = ["-print_final_stats=1", f"-max_total_time={seconds}", f"-timeout={_LONGEST_SECONDS}"]
        options += [f"-rss_limit_mb={_MOST_MEGABYTES}", f"-artifact_prefix={self.folder / 'findings'}/"]
        options += [f"-dict={self.folder / 'words'}", *map(str, self.inputs)]
        self.output = self.run_fuzzer(*options)
        for state in _STATE.finditer(self.output):
            self.states.append(State(**{key: int(value) for key, value in state.groupdict().items() if key != "event"}))

    def run_fuzzer(self, *arguments: str) -> str:
        """Runs the process of this target, and returns its output."""
        command = [sys.executable, "-m", "tests.fuzz.process", self.name, f"-max_len={_MOST_BYTES}", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, _TOOLS)))}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return done.stdout.decode(errors="replace")

    @property
    def inputs(self) -> Sequence[Path]:
        """The folders of inputs; libFuzzer adds new ones to the first."""
        return (self.folder / "found", self.folder / "seeds", CORPUS / self.name)

    @property
    def begin(self) -> State:
        """The state when all known inputs have run."""
        return self.states[0] if self.states else State()

    @property
    def end(self) -> State:
        """The last state."""
        return self.states[-1] if self.states else State()

    @property
    def findings(self) -> list[Path]:
        """The inputs that raised, took too long or took too much memory; the log, where the process itself failed."""
        found = sorted((self.folder / "findings").iterdir())
        if self.states or found:
            return found
        log = self.folder / "findings" / "log.txt"
        log.write_text(self.output)
        return [log]

    def read_fault(self) -> str:
        """Returns what the process wrote of its finding."""
        _, mark, fault = self.output.partition("=== Uncaught Python exception: ===")
        return fault if mark else self.output[-4000:]


def prepare_run(name: str) -> Run:
    """Returns a run in an empty folder with the seeds of the target."""
    folder = _FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("seeds", "found", "findings"):
        (folder / part).mkdir(parents=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    seeds = list(TARGETS[name].list_seeds())
    write_inputs(folder / "seeds", seeds)
    (folder / "words").write_text("".join(f'"{_escape(word)}"\n' for word in list_words(seeds)))
    return Run(name, folder)


def write_inputs(folder: Path, inputs: Iterable[bytes]) -> None:
    """Writes each input to a file whose name is its hash."""
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


def _escape(word: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\x{byte:02x}" for byte in word)
