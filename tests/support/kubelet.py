"""`Kubelet`: what a kubelet would do with a server's container, by the answers that grpc-health-probe gets.

grpc-health-probe does what the gRPC probes of a kubelet do: it connects without TLS, checks one name, and takes
everything but SERVING within the time limit for a failure. Its exit code also says which failure it was.
"""

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from enum import IntEnum, StrEnum
from typing import Final

from reasoning_grpc.server.server import LIVENESS, READINESS
from scripts.optional_check import ROOT
from tests.support.commands import PATIENCE_SECONDS, running_process
from tests.support.workers import POLL_SECONDS

PROBE: Final = ROOT / ".tools" / "bin" / "grpc-health-probe"
FAILURE_THRESHOLD: Final = 3
"""How many failures in a row fail a probe; it is what Kubernetes does by default. Here no time passes between them."""
_LONGEST_SECONDS: Final = 90
"""How long a probe waits for its connection, and for its answer. Other processes may take all cores meanwhile."""
SOON_SECONDS: Final = 2
"""How long a probe waits that must fail."""


class Answer(IntEnum):
    """The outcome of one probe; the numbers are the exit codes of grpc-health-probe."""

    SERVING = 0
    NOT_CONNECTED = 2
    """There was no gRPC connection in time: nobody listens, a hung process does, or one that wants TLS."""
    CALL_FAILED = 3
    """The server does not know the name, or has not answered in time."""
    NOT_SERVING = 4


class Action(StrEnum):
    """What a kubelet does with a container."""

    WAIT = "waits for the start"
    """The startup probe has not succeeded yet, so there are no other probes, and no calls."""
    SEND_CALLS = "sends calls"
    SEND_NO_CALLS = "sends no calls"
    RESTART = "restarts the container"


class Kubelet:
    """Probes the container of one server, which has started as soon as its startup probe succeeds once."""

    def __init__(self, address: str, *, timeout_seconds: int = _LONGEST_SECONDS) -> None:
        """`address` is HOST:PORT of a health port. A probe that must fail needs a short timeout."""
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._has_started = False

    async def probe(self, name: str) -> Answer:
        """Checks a name of the health once."""
        timeout = f"{self._timeout_seconds}s"
        async with (
            running_process(
                *("-addr", self._address, "-service", name, "-connect-timeout", timeout, "-rpc-timeout", timeout),
                program=(str(PROBE),),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
            ) as process,
            asyncio.timeout(2 * PATIENCE_SECONDS),
        ):
            _, output = await process.communicate()
        assert process.returncode in set(Answer), output.decode()
        return Answer(process.returncode)

    async def decide(self) -> Action:
        """Sends the probes that are due, and returns what a kubelet does after them."""
        if not self._has_started:
            if await self.probe(LIVENESS) is not Answer.SERVING:
                return Action.WAIT
            self._has_started = True
        if not await self._passes(LIVENESS):
            return Action.RESTART
        return Action.SEND_CALLS if await self._passes(READINESS) else Action.SEND_NO_CALLS

    async def wait_for(self, action: Action) -> None:
        """Probes until a kubelet does this; fails when it restarts the container before."""
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while (decided := await self.decide()) is not action:
                assert decided is not Action.RESTART, f"it {decided} before it {action}"
                await asyncio.sleep(POLL_SECONDS)

    async def wait_for_recovery(self) -> None:
        """Probes until a kubelet sends calls, although it would have restarted the container."""
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while await self.decide() is not Action.SEND_CALLS:  # noqa: ASYNC110 - another process changes
                await asyncio.sleep(POLL_SECONDS)

    async def _passes(self, name: str) -> bool:
        """Whether one of a few probes of this name succeeds."""
        for _ in range(FAILURE_THRESHOLD):
            if await self.probe(name) is Answer.SERVING:
                return True
        return False
