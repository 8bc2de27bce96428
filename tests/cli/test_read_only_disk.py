"""A server needs no disk that it can write to, as in a container whose root is read-only."""

import json
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import aiohttp
import pytest
import pytest_asyncio

from tests.support.commands import running_process
from tests.support.ports import find_port
from tests.support.server_process import ServerFolder, wait_for_end

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process, pytest.mark.serial]

READ_ONLY: Final = '''
"""Refuses whatever would write to a disk, in this process and in every process of Python that it starts."""
import errno, os, sys

CHANGES = {"os.mkdir", "os.link", "os.symlink", "os.rename", "os.remove", "os.rmdir", "os.truncate"}

def refuse(event, arguments):
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if not writes and event not in CHANGES:
        return
    path = arguments[0]
    if not isinstance(path, int) and not os.fsdecode(path).startswith("/dev/"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

sys.addaudithook(refuse)
'''


FIND_TEMPORARY_FOLDER: Final = """
import tempfile
try:
    print(tempfile.gettempdir())
except FileNotFoundError:
    print("none")
"""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def read_only(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Provides variables with which Python meets a disk that is read-only, whoever runs it and on every system."""
    folder = tmp_path_factory.mktemp("read-only")
    (folder / "sitecustomize.py").write_text(READ_ONLY)
    program = (sys.executable, "-c", FIND_TEMPORARY_FOLDER)
    variables = {"PYTHONPATH": str(folder)}
    async with running_process(program=program, variables=variables, stdin=DEVNULL, stdout=PIPE) as process:
        output, _ = await process.communicate()
        assert output == b"none\n"
    return variables


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_server_answers_without_a_disk(
    server_folder: ServerFolder, read_only: Mapping[str, str], workers: str
) -> None:
    """A server that can write nowhere starts with its admin port, answers, and ends with 0 after SIGTERM."""
    admin = f"127.0.0.1:{find_port()}"
    variables = {**read_only, "REASONING_WORKERS": workers, "REASONING_ADMIN_LISTEN": admin}
    async with replace(server_folder, variables=variables).serving() as server:
        finished = await server.ask("ask", "hi")
        metrics = await read_page(f"http://{admin}/metrics")
        server.process.send_signal(signal.SIGTERM)

        assert (finished.code, finished.out) == (0, "Hello world\n")
        assert "reasoning_grpc_" in metrics
        assert await wait_for_end(server.process) == 0
        assert "Traceback" not in server.log.read_text()


async def test_the_embedded_model_answers_without_a_disk(
    server_folder: ServerFolder, read_only: Mapping[str, str], tmp_path: Path
) -> None:
    """Neither the embedded model nor the embedding that routes a request needs a disk to write to."""
    (tmp_path / "reasoning.toml").write_text('default_mode = "auto"\n')
    async with ServerFolder(tmp_path, server_folder.upstream, variables=read_only).serving() as server:
        finished = await server.ask("ask", "hi", "--mode", "passthrough", "--max-output-tokens", "4")
        routed = await server.ask("classify", "What is the capital of France?", "--json")

        assert finished.code == 0
        assert finished.out.strip()
        assert json.loads(routed.out)["source"] == "ROUTE_SOURCE_EMBEDDING"


async def read_page(url: str) -> str:
    """Returns the body of a page that answers with 200."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()
