"""A llama.cpp server whose chat template has a place for reasoning, which llama.cpp then reads and writes by itself.

The weights are those of the embedded model, which does not reason: a grammar makes it write what a test needs. The file
runs as a script: it writes its address to stdout, and ends with its standard input.
"""

import asyncio
import importlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from reasoning_grpc.embedded.installation import find_bundled_weights

_TEMPLATE: Final = Path(__file__).parent / "thinking_template.jinja"


@asynccontextmanager
async def run_llama_server() -> AsyncIterator[str]:
    """Starts the process, and stops it in the end; yields the address of its OpenAI protocol."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", __file__), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"{(await process.stdout.readline()).decode().strip()}/v1"
    finally:
        process.stdin.close()
        await process.wait()


def main() -> None:
    """Serves until the standard input ends."""
    answer_line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(find_bundled_weights())
    params.chat_template, params.use_jinja = _TEMPLATE.read_text("utf-8"), True
    params.n_parallel, params.n_ctx = 1, 512
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.fit_params = False
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = xllamacpp.Server(params)
    with answer_line:
        answer_line.write(f"{server.listening_address}\n")
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
