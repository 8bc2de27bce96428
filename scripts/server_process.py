"""`run_server`: runs a server of this checkout in a separate process, for scripts that call it like any client."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMAND = Path(sys.executable).with_name("reasoning-grpc")
_READY = "serving on "
_STOP_SECONDS = 15


@contextmanager
def run_server(
    *arguments: str, quiet: bool = True, command: Path = COMMAND, folder: Path | None = None
) -> Iterator[str]:
    """Runs `reasoning-grpc serve` on a free port, yields its address, and stops the server at the end.

    `arguments` are further flags of the command, which runs in this folder, or in the one of this process. Raises
    RuntimeError when the server ends before it serves.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REASONING_")}
    level = "error" if quiet else "info"
    process = subprocess.Popen(
        [
            *(command, "serve", "--listen", "127.0.0.1:0", "--log-level", level, "--log-format", "text"),
            *("--drain-delay-seconds", "0"),
            *arguments,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=folder,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(_READY):
            raise RuntimeError("the server ended before it served; the lines above say why")
        yield line.removeprefix(_READY).strip()
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
