"""`PreparedWorkers`: a configuration that all workers prepare, and that then takes effect in all of them."""

import asyncio
import pickle
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from reasoning_grpc.config import Config, ConfigError
from reasoning_grpc.server.workers.handle import WorkerHandle

_SWITCH_SECONDS: Final = 10.0
"""How long a reload waits until all workers have switched; one that hangs switches when it goes on."""
_PREPARE_SECONDS: Final = 120.0
"""How long a worker may take, which connects new MCP servers meanwhile. One that hangs must not stop all reloads."""


class PreparedWorkers:
    """One configuration in the workers that prepare it."""

    def __init__(
        self,
        config: Config,
        handles: Sequence[WorkerHandle],
        start_task: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        on_switch: Callable[[Config], None],
    ) -> None:
        """`on_switch` is called when it takes effect in these workers."""
        self._config = config
        self._handles = handles
        self._start_task = start_task
        self._on_switch = on_switch
        self._switching: list[asyncio.Task[None]] = []

    async def prepare(self) -> None:
        """Lets the workers prepare it; when one of them cannot, all give it up. Raises ConfigError."""
        payload = pickle.dumps(self._config)
        try:
            problems = await asyncio.gather(*(_prepare(handle, payload) for handle in self._handles))
            if found := [problem for problem in dict.fromkeys(problems) if problem]:
                raise ConfigError([line for problem in found for line in problem.splitlines()])
        except BaseException:
            self._finish("discard")
            raise

    def switch(self) -> None:
        """See `Switchable`."""
        for handle in self._handles:
            handle.config = self._config
        self._switching = self._finish("switch")
        self._on_switch(self._config)

    async def wait_until_effective(self) -> None:
        """See `Switchable`."""
        if self._switching:
            await asyncio.wait(self._switching, timeout=_SWITCH_SECONDS)

    def _finish(self, task: str) -> list[asyncio.Task[None]]:
        """Lets the workers do what ends a preparation, without waiting for it, because one may hang."""
        return [self._start_task(handle.finish(task), task) for handle in self._handles]


async def _prepare(handle: WorkerHandle, payload: bytes) -> str:
    """Returns why a worker cannot prepare a configuration; empty: it has."""
    try:
        async with asyncio.timeout(_PREPARE_SECONDS):
            return await handle.do("prepare", payload)
    except TimeoutError:
        return f"worker {handle.number} has not prepared the configuration within {_PREPARE_SECONDS:g} s"
