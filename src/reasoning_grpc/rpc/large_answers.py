"""`LargeAnswers`: lets a unary call count as in flight until gRPC has written its answer, where that may take long."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import CallContext

_LARGE_BYTES: Final = 65_535 - 5
"""The bytes of an answer that the window of its stream always takes, unless the client has asked for a smaller one.
HTTP/2 begins with 65,535, and gRPC's frame has 5 of its own. Such an answer is written at once, and needs no timer."""

logger = logging.getLogger("reasoning_grpc.calls")


@dataclass(frozen=True, slots=True)
class LargeAnswers:
    """The large unary answers, which gRPC writes as the client reads them.

    gRPC writes an answer after our method has returned it, within the task of the call. A client that does not read
    would hold the answer in memory while its call counts no longer as one in flight: without a bound.
    """

    timeout_seconds: float
    """The longest time that a client may take to read an answer."""

    def is_large(self, answer: object) -> bool:
        """Whether this answer may wait for its client."""
        return isinstance(answer, bytes) and len(answer) > _LARGE_BYTES

    def watch(self, method: str, call: CallContext, release: Callable[[asyncio.Task[Any]], None]) -> None:
        """Calls `release` when the current task ends, which is when gRPC has written the answer that it returns.

        A client that has not read it in time is given up: the task is cancelled, which releases all but the bytes that
        gRPC holds for the connection.
        """
        task = asyncio.current_task()
        assert task is not None
        timer = asyncio.get_running_loop().call_later(self.timeout_seconds, _give_up, task, method, call)
        task.add_done_callback(lambda _: timer.cancel())
        task.add_done_callback(release)


def _give_up(task: asyncio.Task[Any], method: str, call: CallContext) -> None:
    logger.warning(
        "client stalled", extra={"method": method, "request_id": call.request_id, "caller": call.caller.name}
    )
    task.cancel()
