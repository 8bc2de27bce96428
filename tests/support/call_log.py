"""`CallLog` collects the lines that the server logs at the end of each call."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.upstream.changes import Changes


class CallLog(logging.Handler):
    """Collects the lines that the server logs at the end of each call."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self._changes = Changes()

    def emit(self, record: logging.LogRecord) -> None:
        """See logging."""
        self.lines.append(vars(record))
        self._changes.notify()

    async def wait_for_line(self, number: int = 1) -> dict[str, Any]:
        """Waits for the line with this number, counted from 1."""
        await self._changes.expect(
            lambda: len(self.lines) >= number, lambda: f"{number} lines expected; there are {self.lines}"
        )
        return self.lines[number - 1]


@contextmanager
def recording_calls(caplog: pytest.LogCaptureFixture) -> Iterator[CallLog]:
    """Collects the log lines of calls inside the block."""
    caplog.set_level(logging.INFO, "reasoning_grpc")
    log, handler = logging.getLogger("reasoning_grpc.calls"), CallLog()
    log.addHandler(handler)
    try:
        yield handler
    finally:
        log.removeHandler(handler)
