"""`CallTracker`: counts the calls in flight, refuses new ones while the server drains, and at last cuts the rest."""

import asyncio
from asyncio import current_task
from typing import Any, Final

from reasoning_grpc.domain import CallContext, CallReport, read_clock
from reasoning_grpc.domain.errors import ServerShuttingDown

_RETRY_SECONDS: Final = 1.0
"""The delay after which a refused client may try again. By then its load balancer knows that this server stops."""
_ATTEMPTS_METADATA: Final = "grpc-previous-rpc-attempts"
"""Where gRPC's clients say how often they have sent a call before."""
_LAST_RETRY: Final = "2"
"""The attempts before the one whose retry is the last one: the clients' service config has four attempts."""

Task = asyncio.Task[Any]


class CallTracker:
    """Knows the calls in flight of our own service, without health and reflection, by their tasks."""

    def __init__(self) -> None:
        self._calls: set[Task | None] = set()
        """Never None, which only the type of `current_task` has."""
        self._cut: set[Task] = set()
        """The calls that `cut` has cancelled."""
        self._writing: set[Task] = set()
        """The calls that ended while the server drains, and whose responses or statuses are being written."""
        self._draining = False
        self._drain_end = 0.0
        """When the calls in flight have ended or are cut."""
        self._idle = asyncio.Event()

    @property
    def in_flight(self) -> int:
        """The number of calls in flight."""
        return len(self._calls)

    @property
    def is_draining(self) -> bool:
        """Whether new calls are refused because the server stops."""
        return self._draining

    async def wait_for_calls_of_now(self) -> None:
        """Waits until every call that is in flight now has ended; calls that begin later are not waited for."""
        if calls := {task for task in self._calls if task is not None}:
            await asyncio.wait(calls)

    def begin(self, call: CallContext | None = None) -> None:
        """Counts the current task as a call until `end`.

        Raises ServerShuttingDown once draining has begun, and then does not count it.
        """
        if self._draining:
            raise ServerShuttingDown(retry_after_seconds=self._find_retry_seconds(call))
        self._calls.add(current_task())

    def end(self, ended: Task | None = None) -> None:
        """Counts the call of this task, or of the current one, no longer.

        The current task goes on until gRPC has written its response or its status.
        """
        task = ended or current_task()
        self._calls.remove(task)
        if self._draining and task is not None:
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)
            if not self._calls:
                self._idle.set()

    def drain(self, grace_seconds: float) -> None:
        """Refuses new calls from now on. Those in flight have the grace to end."""
        self._draining = True
        self._drain_end = read_clock() + grace_seconds

    def cut(self) -> None:
        """Cancels every call in flight, as `asyncio.timeout` does it, and refuses new ones."""
        self._draining = True
        for task in self._calls:
            if task is None or task in self._cut:
                continue
            self._cut.add(task)
            task.add_done_callback(self._cut.discard)
            task.cancel()

    def take_back_cut(self, report: CallReport) -> ServerShuttingDown | None:
        """Returns why the current call was cancelled, with its progress; None when `cut` is not the only cause.

        The call is then no longer cancelled.
        """
        task = current_task()
        if task is None or task not in self._cut:
            return None
        if task.uncancel():  # the client has cancelled the call at the same time
            return None
        error = ServerShuttingDown(retry_after_seconds=_RETRY_SECONDS)
        error.progress = report.read_progress()
        return error

    def _find_retry_seconds(self, call: CallContext | None) -> float:
        """Returns the delay after which a refused call may be sent again.

        A client that balances by round robin may reach this server again and again. Its last attempt is delayed until
        the server has gone, unless the deadline of the call comes first.
        """
        if call is None or call.metadata.get(_ATTEMPTS_METADATA) != _LAST_RETRY:
            return _RETRY_SECONDS
        end = self._drain_end + _RETRY_SECONDS
        if call.deadline is not None and call.deadline <= end:
            return _RETRY_SECONDS
        return max(_RETRY_SECONDS, end - read_clock())

    async def wait_until_idle(self) -> None:
        """Waits, while the server drains, until no call is in flight."""
        while self._calls:
            self._idle.clear()
            await self._idle.wait()

    async def wait_until_written(self) -> None:
        """Waits until no call is in flight, and what each has ended with while the server drains is written."""
        await self.wait_until_idle()
        while self._writing:
            await asyncio.wait(self._writing)
