"""A process with the embedded model that tells which grammar it makes of a schema.

The file runs as a script: it writes its address to stdout, and ends with its standard input.
"""

import asyncio
import importlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from reasoning_grpc.embedded.installation import find_bundled_weights

_CONVERSATION: Final = [{"role": "user", "content": "x"}]
_TELLS_ALL: Final = 10
"""The verbosity from which an answer has the settings that made it."""


class GrammarServer:
    """Converts schemas to grammars, as llama.cpp does for a response format."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address
        self._session = session

    async def convert(self, schema: Any) -> str:
        """Returns the grammar of a schema; empty where llama.cpp refuses the schema."""
        response_format = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": schema}}
        body = {"messages": _CONVERSATION, "max_tokens": 1, "response_format": response_format}
        async with self._session.post(f"{self._address}/v1/chat/completions", json=body) as response:
            answer = await response.json()
        if response.status != 200:
            return ""
        grammar: str = answer["__verbose"]["generation_settings"]["grammar"]
        return grammar


@asynccontextmanager
async def run_grammar_server() -> AsyncIterator[GrammarServer]:
    """Starts the process, and stops it in the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", __file__), stdin=PIPE, stdout=PIPE, stderr=DEVNULL
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        address = (await process.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            yield GrammarServer(address, session)
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
    params.verbosity = _TELLS_ALL
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
