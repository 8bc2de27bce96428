"""A server process takes its memory from one heap, so that it does not grow for hours."""

from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from tests.support.factories import a_wire_request
from tests.support.server_process import ServerFolder, ServerProcess

# All tests of the command line share an event loop, with a server process and the upstream behind it.
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.process, pytest.mark.serial]

_HEAP_BYTES: Final = 64 * 2**20
"""The addresses that glibc reserves for a further heap, which begin at a multiple of their number."""
_CALLS: Final = 20


def count_further_heaps(process_id: int) -> int:
    """Returns how many heaps of threads a process has, each of which is partly in use and otherwise out of reach."""
    ranges = []
    for line in Path(f"/proc/{process_id}/maps").read_text().splitlines():
        addresses, rights = line.split()[:2]
        first, last = (int(address, 16) for address in addresses.split("-"))
        ranges.append((first, last, rights))
    return sum(
        (one[2], other[2]) == ("rw-p", "---p")
        and one[1] == other[0]
        and one[0] % _HEAP_BYTES == 0
        and other[1] - one[0] == _HEAP_BYTES
        for one, other in pairwise(ranges)
    )


async def make_calls(server: ServerProcess, folder: ServerFolder) -> None:
    """Makes some calls, one after another."""
    async with server.client() as client:
        for _ in range(_CALLS):
            folder.upstream.reply("Hello")
            await client.complete(a_wire_request())


async def test_a_server_has_no_heap_for_each_thread(server_folder: ServerFolder) -> None:
    """The threads of gRPC's core take memory from the heap of the first thread."""
    async with server_folder.serving() as server:
        await make_calls(server, server_folder)

        assert count_further_heaps(server.process.pid) == 0
