"""A check that a server, and the calls that it served, leave no task and no connection behind in this process."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import grpc

from tests.support.upstream import PATIENCE_SECONDS

_LOOK_SECONDS: Final = 0.005
_KINDS: Final = ("socket:", "pipe:")
"""What the descriptors of connections and of processes refer to. What else is opened stays open for later servers."""


@asynccontextmanager
async def leaving_nothing_behind() -> AsyncIterator[None]:
    """Checks at the end that each task, socket and pipe that began within it has ended.

    A server belongs within it, from its start to its stop; a fake upstream, outside. The fake closes its end of a
    connection after the server has, and gRPC closes its own in other threads, so the check looks again and again.
    """
    grpc.aio.init_grpc_aio()  # the sockets that all servers and channels share stay open until the last one is freed
    try:
        tasks, descriptors = asyncio.all_tasks(), set(_list_descriptors())
        yield

        def find_left() -> list[object]:
            new_tasks = asyncio.all_tasks() - tasks - {asyncio.current_task()}
            return [*new_tasks, *(set(_list_descriptors()) - descriptors)]

        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while find_left():  # noqa: ASYNC110 - nothing reports that a thread of gRPC has closed a socket
                    await asyncio.sleep(_LOOK_SECONDS)
        assert find_left() == []
    finally:
        grpc.aio.shutdown_grpc_aio()


def _list_descriptors() -> Iterator[str]:
    """Yields what each open socket and pipe of this process refers to, such as socket:[4026]."""
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # it was closed meanwhile
            target = os.readlink(f"/proc/self/fd/{number}")
            if target.startswith(_KINDS):
                yield target
