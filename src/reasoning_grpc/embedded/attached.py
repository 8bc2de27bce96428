"""`AttachedModel`: the embedded model of a worker; the child process belongs to the supervisor."""

import asyncio
from typing import Protocol

from reasoning_grpc.embedded.launch import EmbeddedStartError
from reasoning_grpc.embedded.process import EmbeddedClosedError, EmbeddedEndpoint


class EmbeddedUpstream(Protocol):
    """The embedded model as a server uses it, whichever process owns the child."""

    @property
    def name(self) -> str:
        """The name by which requests, answers and logs know the model."""

    @property
    def endpoint(self) -> EmbeddedEndpoint | None:
        """The address at which it answers now; None when it does not."""

    @property
    def process_id(self) -> int | None:
        """The id of the child, if this process owns it and it answers."""

    @property
    def restarts(self) -> int:
        """The number of restarts after a child of this process had died."""

    async def start(self) -> None:
        """Returns when it answers; called once. Raises EmbeddedStartError."""

    async def wait_ready(self) -> None:
        """Returns when it answers, at once if it does now. Raises EmbeddedClosedError when it was closed."""

    async def aclose(self) -> None:
        """Stops what this process owns of it; may be called again."""


class AttachedModel:
    """Knows where the embedded model answers from what the supervisor reports; owns no process."""

    process_id: int | None = None
    """None: the child belongs to the supervisor."""
    restarts = 0
    """None of them are ours."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.endpoint: EmbeddedEndpoint | None = None
        """The address at which the model answers now; None until the first report, and during a restart."""
        self._closed = False
        self._changed = asyncio.Event()

    def attach(self, endpoint: EmbeddedEndpoint | None) -> None:
        """Takes over where the model answers now; None: it does not answer."""
        self.endpoint = endpoint
        if endpoint is None:
            self._changed.clear()
        else:
            self._changed.set()

    async def start(self) -> None:
        """Waits until the supervisor's child answers. Raises EmbeddedStartError when this was closed before."""
        try:
            await self.wait_ready()
        except EmbeddedClosedError as exc:
            raise EmbeddedStartError(str(exc)) from exc

    async def wait_ready(self) -> None:
        """Returns when the model answers, at once if it does now. Raises EmbeddedClosedError when this was closed."""
        while self.endpoint is None:
            if self._closed:
                raise EmbeddedClosedError("The embedded model was closed.")
            await self._changed.wait()

    async def aclose(self) -> None:
        """Ends every wait; the child goes on for other workers."""
        self._closed = True
        self.endpoint = None
        self._changed.set()
