"""The upstreams that are killed: the embedded model of a server, and a LiteLLM proxy."""

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Final, Protocol

import aiohttp

from bench.process import Process
from bench.services import Environment, find_free_port, launch_litellm_proxy

_PATIENCE_SECONDS: Final = 180.0
_POLL_SECONDS: Final = 0.02


class Upstream(Protocol):
    """An upstream that can be killed."""

    async def kill(self) -> None:
        """Kills the process."""

    async def wait_until_back(self) -> None:
        """Returns when the next process answers, which this method starts if nobody else does."""


class EmbeddedModel:
    """The embedded model of a server, which starts it again by itself."""

    def __init__(self, log: Path) -> None:
        """`log` is the server's log, in JSON."""
        self._log = log
        self._killed: list[int] = []

    async def kill(self) -> None:
        """See `Upstream.kill`."""
        process_id = await self._wait_for_child()
        os.kill(process_id, signal.SIGKILL)
        self._killed.append(process_id)

    async def wait_until_back(self) -> None:
        """See `Upstream.wait_until_back`."""
        await self._wait_for_child()

    async def _wait_for_child(self) -> int:
        """Returns the id of the process that answers now, as the server has logged it."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while not (children := self._list_children()) or children[-1] in self._killed:  # noqa: ASYNC110 - the server writes them
                await asyncio.sleep(_POLL_SECONDS)
            return children[-1]

    def _list_children(self) -> list[int]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines() if line.endswith("}")]
        return [facts["child_process_id"] for facts in lines if facts["message"] == "embedded model answers"]


class LiteLLMProxy:
    """A LiteLLM proxy, which has the same address after each start."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._port = find_free_port()
        self._process: Process | None = None

    @property
    def base_url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self._port}"

    async def kill(self) -> None:
        """See `Upstream.kill`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def wait_until_back(self) -> None:
        """Starts the process, and returns when it answers."""
        self._process = launch_litellm_proxy(self._environment, self._port)
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while not await self._is_alive():
            if time.monotonic() > give_up or not self._process.is_running:
                raise RuntimeError(f"the LiteLLM proxy does not start; see {self._process.log}")
            await asyncio.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.stop()

    async def _is_alive(self) -> bool:
        try:
            async with aiohttp.ClientSession() as client, client.get(f"{self.base_url}/health/liveliness") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False
