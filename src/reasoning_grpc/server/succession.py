"""`Succession`: the parts that serve now, and how those of another configuration take their place."""

import asyncio

from reasoning_grpc.config import Config, ConfigError, keep_unchanged_entries
from reasoning_grpc.embedded import EmbeddedUpstream
from reasoning_grpc.pauses import PauseMemory
from reasoning_grpc.rpc import CallTracker
from reasoning_grpc.server.certificates import CertificateError, Certificates, TLSFiles, find_tls_files
from reasoning_grpc.server.listener import build_call_interceptor, switch_calls
from reasoning_grpc.server.metrics import observe_parts
from reasoning_grpc.server.router_embedding import RouterNotTrained, close_router_embedding, load_router_embedding
from reasoning_grpc.server.wiring import ServerParts, build_parts
from reasoning_grpc.telemetry import Telemetry
from reasoning_grpc.tools import ThreadsNotStarted


class Prepared:
    """A configuration that can take effect at once. Exactly one of `switch` and `aclose` follows."""

    def __init__(self, succession: "Succession", parts: ServerParts, files: TLSFiles | None) -> None:
        self._succession = succession
        self._parts = parts
        self._files = files

    @property
    def config(self) -> Config:
        """The configuration that was prepared."""
        return self._parts.config

    def switch(self) -> None:
        """Lets the calls that begin from now on be served by it; calls in flight keep what they began with."""
        self._succession.switch(self._parts, self._files)

    async def wait_until_effective(self) -> None:
        """Returns at once, because all calls are those of this process."""

    async def aclose(self) -> None:
        """Gives up what was prepared; nothing has changed."""
        await self._parts.toolbox.aclose_beside(self._succession.parts.toolbox)
        await close_router_embedding(self._parts)


class Succession:
    """Knows what of the parts of a server belongs to a configuration, and what outlives it."""

    def __init__(
        self,
        config: Config,
        tracker: CallTracker,
        telemetry: Telemetry,
        *,
        attached: EmbeddedUpstream | None = None,
        pause_memory: PauseMemory | None = None,
    ) -> None:
        """Builds the parts of the first configuration, and starts none.

        For `attached` and `pause_memory` see `build_parts`.
        """
        self._tracker = tracker
        self._telemetry = telemetry
        self.parts = build_parts(config, telemetry, attached=attached, pause_memory=pause_memory)
        """The parts that serve the calls that begin now."""
        pace = self.parts.adapter.pool.pace
        self.calls = build_call_interceptor(config, tracker, self.parts.quotas, pace, telemetry)
        files = find_tls_files(config.settings)
        self.certificates = None if files is None else Certificates(files)
        """None: the server has no TLS."""
        self._providers = observe_parts(telemetry.metrics, self.parts, lambda: self.parts.config)
        self._former: dict[asyncio.Task[None], ServerParts] = {}
        """The parts of former configurations, by the tasks that close them when no call uses them any more."""

    async def prepare(self, config: Config) -> Prepared:
        """Builds what serves another configuration, and changes nothing yet. One is prepared at a time.

        What needs a restart must be as in the configuration that serves now, and `find_config_problems` must have found
        nothing. Raises ConfigError for what only a trial can find: TLS files that cannot be used, a required MCP server
        that cannot be reached, tools that need too many threads.
        """
        config = keep_unchanged_entries(self.parts.config, config)
        if (files := find_tls_files(config.settings)) is not None:
            try:
                files.read()
            except CertificateError as exc:
                raise ConfigError([str(exc)]) from exc
        # In a thread, because the first MCP server imports the SDK, which takes most of a second.
        parts = await asyncio.to_thread(build_parts, config, self._telemetry, previous=self.parts)
        prepared = Prepared(self, parts, files)
        try:
            await parts.adapter.warm_up()
            await parts.toolbox.start()
            if problems := await parts.toolbox.find_unmet_requirements():
                raise ConfigError(problems)
            await load_router_embedding(parts)
        except BaseException as exc:
            await prepared.aclose()
            if isinstance(exc, ThreadsNotStarted | RouterNotTrained):
                raise ConfigError([str(exc)]) from exc
            raise
        return prepared

    def switch(self, parts: ServerParts, files: TLSFiles | None) -> None:
        """Lets these parts serve the calls that begin from now on, and uses these files for new connections."""
        former, self.parts = self.parts, parts
        switch_calls(self.calls, parts.config, parts.engine)
        parts.toolbox.take_over()
        self._providers.switch(parts.model, former.config.models)
        if self.certificates is not None and files is not None:
            self.certificates.switch(files)
        closing = asyncio.create_task(self._close_when_unused(former), name="close a former configuration")
        self._former[closing] = former
        closing.add_done_callback(self._former.pop)

    async def close_former(self) -> None:
        """Closes at once what only former configurations use; the calls that use it were cut."""
        former = dict(self._former)
        for closing in former:
            closing.cancel()
        await asyncio.gather(*(parts.toolbox.aclose_beside(self.parts.toolbox) for parts in former.values()))
        await asyncio.gather(*map(close_router_embedding, former.values()))

    async def _close_when_unused(self, former: ServerParts) -> None:
        """Closes what only a former configuration uses, when the calls that began with it have ended."""
        successor = self.parts
        await self._tracker.wait_for_calls_of_now()
        await former.toolbox.aclose_beside(successor.toolbox)
        await close_router_embedding(former)
