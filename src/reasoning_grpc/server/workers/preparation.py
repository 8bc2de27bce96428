"""`PreparedWorkers`: a configuration that all workers prepare, and that then takes effect in all of them."""

import asyncio
import pickle
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from reasoning_grpc.config import Config, ConfigError
from reasoning_grpc.server.workers.handle import WorkerHandle

_PREPARE_SECONDS: Final = 120.0
"""How long a worker may take, which connects new MCP servers meanwhile. One that hangs must not stop all reloads."""


class PreparedWorkers:
    """One configuration in the workers that prepare it."""

    def __init__(
        self,
        config: Config,
        handles: Sequence[WorkerHandle],
        start_task: Callable[[Coroutine[Any, Any, None], str], object],
        on_switch: Callable[[Config], None],
    ) -> None:
        """`on_switch` is called when it takes effect in these workers."""
        self._config = config
        self._handles = handles
        self._start_task = start_task
        self._on_switch = on_switch

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
        self._finish("switch")
        self._on_switch(self._config)

    def _finish(self, task: str) -> None:
        """Lets the workers do what ends a preparation; nobody waits, because one may hang."""
        for handle in self._handles:
            self._start_task(handle.finish(task), task)


async def _prepare(handle: WorkerHandle, payload: bytes) -> str:
    """Returns why a worker cannot prepare a configuration; empty: it has."""
    try:
        async with asyncio.timeout(_PREPARE_SECONDS):
            return await handle.do("prepare", payload)
    except TimeoutError:
        return f"worker {handle.number} has not prepared the configuration within {_PREPARE_SECONDS:g} s"
