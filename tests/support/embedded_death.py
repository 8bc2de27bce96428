"""`kill_and_notice`: ends the child of an embedded model, which the server then starts again."""

import logging
import os
import signal

from reasoning_grpc.embedded import EmbeddedUpstream
from tests.support.upstream.changes import Changes


class _Deaths(logging.Handler):
    """Counts the lines in which an embedded model reports that its child has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._changes = Changes()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self._count += record.getMessage() == "embedded model died"
        self._changes.notify()

    async def wait_for_one(self) -> None:
        """Waits for the first such line."""
        await self._changes.expect(lambda: self._count > 0, lambda: "the embedded model has noticed no death")


async def kill_and_notice(model: EmbeddedUpstream) -> None:
    """Kills the child, and returns when the model has noticed its death, before it starts the next one."""
    assert model.process_id is not None
    log, deaths = logging.getLogger("reasoning_grpc.embedded"), _Deaths()
    log.addHandler(deaths)
    try:
        os.kill(model.process_id, signal.SIGKILL)
        await deaths.wait_for_one()
    finally:
        log.removeHandler(deaths)
    assert model.endpoint is None
