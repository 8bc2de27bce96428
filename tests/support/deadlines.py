"""Tests of what a deadline cuts, which must pass on a busy machine too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from reasoning_grpc.client import CallFailed
from tests.support.serving import RunningServer
from tests.support.wire_calls import expect_failure

T = TypeVar("T")

_SECONDS: Final = (0.1, 1.0, 2.0, 8.0, 32.0)


async def let_deadline_pass(running: RunningServer, start: Callable[[float], Awaitable[Any]]) -> CallFailed:
    """Makes a call that waits at the server until its deadline, and returns its failure; `start` takes the deadline.

    The server has given the call up by then. Its clock starts when the call arrives, so the client gives up first, and
    what is tested next would still find the call. No other call may begin or end meanwhile.
    """
    others = running.server.calls_in_flight

    async def call(seconds: float) -> CallFailed | None:
        failure = asyncio.ensure_future(expect_failure(start(seconds)))
        await running.wait_until(lambda: failure.done() or running.server.calls_in_flight > others)
        has_arrived = running.server.calls_in_flight > others
        await asyncio.wait({failure})
        await running.wait_for_calls(others)
        return failure.result() if has_arrived else None

    return await try_deadlines(call, least_seconds=0.1)


async def try_deadlines(call: Callable[[float], Awaitable[T | None]], *, least_seconds: float = 1.0) -> T:
    """Makes a call with longer and longer deadlines, and returns its first outcome that is not None.

    None says that the call had not come as far as it must when its deadline passed. An idle machine needs one attempt.
    """
    for seconds in _SECONDS:
        if seconds >= least_seconds and (outcome := await call(seconds)) is not None:
            return outcome
    raise AssertionError(f"no call came as far as it must within {_SECONDS[-1]:g} seconds")
