"""`Reloader`: lets a running server take a configuration that was read anew, all of it or nothing."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from reasoning_grpc.config import Config, ConfigError, compute_fingerprint, find_kept_options
from reasoning_grpc.server.reload_status import ReloadStatus

ReadConfig = Callable[[Mapping[str, Any]], tuple[Config, list[str]]]
"""Reads the configuration with the values of options that are kept; returns it with every problem."""

_UNEXPECTED: Final = "it failed in a way that nobody foresaw; the log has the traceback"

logger = logging.getLogger("reasoning_grpc.server")


class Switchable(Protocol):
    """A configuration that was prepared."""

    def switch(self) -> None:
        """Lets it take effect."""
        ...

    async def wait_until_effective(self) -> None:
        """Returns when it has taken effect in every process, as far as that can be waited for."""
        ...


class Reloader:
    """Reloads one server, which may be several processes."""

    def __init__(
        self,
        config: Config,
        read: ReadConfig,
        prepare: Callable[[Config], Awaitable[Switchable]],
        report: Callable[[ReloadStatus], object],
        *,
        reads_in_thread: bool = True,
    ) -> None:
        """`config` is what serves now; `prepare` raises ConfigError for what cannot take effect.

        `report` is called with each status, that of the start included. A process that forks must not read in a thread,
        which may hold a lock of Python's imports when it forks; one that serves calls must, because reading takes time.
        """
        self.config = config
        """The configuration that took effect last."""
        self._read = read
        self._prepare = prepare
        self._report = report
        self._reads_in_thread = reads_in_thread
        self.status = ReloadStatus(compute_fingerprint(config))
        report(self.status)

    async def reload(self) -> None:
        """Reads the configuration, and lets it take effect unless there is a problem."""
        try:
            config, kept = await (asyncio.to_thread(self._read_config) if self._reads_in_thread else self._read_now())
            logger.debug("the new configuration is read", extra={"fingerprint": compute_fingerprint(config)})
            prepared = await self._prepare(config)
            logger.debug("the new configuration is prepared")
        except ConfigError as exc:
            self._record_failure(exc.problems)
            return
        except Exception:
            logger.exception("reload failed unexpectedly")
            self._record_failure([_UNEXPECTED])
            return
        prepared.switch()
        self.config = config
        await prepared.wait_until_effective()
        self.status = ReloadStatus(
            compute_fingerprint(config),
            reloads=self.status.reloads + 1,
            failures=self.status.failures,
            last_time=time.time(),
            needs_restart=tuple(kept),
        )
        facts: dict[str, Any] = {"fingerprint": self.status.fingerprint, "reloads": self.status.reloads}
        if kept:
            logger.warning("options need a restart, and keep their values", extra={"options": list(kept)})
        logger.info("reloaded", extra=facts)
        self._report(self.status)

    async def _read_now(self) -> tuple[Config, dict[str, Any]]:
        return self._read_config()

    def _read_config(self) -> tuple[Config, dict[str, Any]]:
        """Returns the new configuration, with the values that are kept. Raises ConfigError."""
        config, problems = self._read({})
        kept = find_kept_options(self.config, config)
        if kept and not problems:
            config, problems = self._read(kept)
        if problems:
            raise ConfigError(problems)
        return config, kept

    def _record_failure(self, problems: list[str]) -> None:
        status = self.status
        self.status = ReloadStatus(
            status.fingerprint,
            reloads=status.reloads,
            failures=status.failures + 1,
            last_time=time.time(),
            problems=tuple(problems),
            needs_restart=status.needs_restart,
        )
        logger.error("reload changed nothing", extra={"problems": problems})
        self._report(self.status)
