"""A round: some hundred calls at once through a server process, until all is quiet, and their history."""

import asyncio
import json
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from reasoning_grpc.server.server import LIVENESS, READINESS
from tests.history.pace import Pace
from tests.history.plan import CallPlan, plan_call
from tests.history.recorder import make_calls
from tests.history.records import CallRecord, History, read_request_id
from tests.history.serving import LIMIT_SECONDS, write_config
from tests.history.upstream import PlannedUpstream
from tests.support.health import SERVING, check_health
from tests.support.server_process import ServerFolder, ServerProcess, wait_for_end
from tests.support.upstream import PATIENCE_SECONDS, FakeUpstream, refusing_api_base

_LOOK_SECONDS: Final = 0.01
_CALLS_PER_PROBE: Final = 50


class Rounds:
    """Runs rounds against one server process, one after another."""

    def __init__(self, server: ServerProcess, upstream: PlannedUpstream, channel: grpc.aio.Channel) -> None:
        self.server = server
        self.upstream = upstream
        self._channel = channel
        self._log_offset = 0

    async def run(
        self,
        seed: int,
        numbers: Iterable[int],
        concurrency: int,
        draw_call: Callable[[int, int], CallPlan] = plan_call,
        pace: Pace | None = None,
    ) -> History:
        """Makes the calls of these numbers, so many at once, and returns their history when all is quiet.

        Without a pace, each call begins as soon as an earlier one has ended. `draw_call` returns the plan of a call by
        seed and number. Raises AssertionError when an upstream socket stays open, or when health is not truthful.
        """
        self.upstream.begin_round(seed)
        waiting = iter(numbers)
        calls: list[CallRecord] = []

        async def work() -> None:
            for number in waiting:  # other workers take from it as well
                if pace is not None:
                    await pace.wait()
                before = len(calls) // _CALLS_PER_PROBE
                calls.extend(await make_calls(self._channel, seed, number, draw_call))
                if len(calls) // _CALLS_PER_PROBE > before:
                    await self._expect_health()

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(work())
        await self.upstream.fake.idle()
        await self._expect_health()
        ledger = self.upstream.read_ledger()
        logged = {call.plan.number for call in calls if call.is_ended_by_server}.union(ledger)
        lines, stray = await self._read_lines(seed, logged)
        calls.sort(key=lambda call: call.plan.number)
        return History(seed=seed, calls=calls, exchanges=ledger, lines=lines, stray_lines=stray)

    async def _expect_health(self) -> None:
        """Checks that the server still says that it serves: an upstream that fails never changes its health."""
        for name in ("", READINESS, LIVENESS):
            assert await check_health(self._channel, name) == SERVING, name

    async def stop(self) -> None:
        """Ends the server by SIGTERM. Raises AssertionError when a call was still in flight."""
        self.server.process.send_signal(signal.SIGTERM)
        assert await wait_for_end(self.server.process) == 0
        lines = [json.loads(line) for line in self._read_new_lines() if line.startswith("{")]
        assert [line["calls_cut"] for line in lines if line["message"] == "stopped"] == [0], lines

    async def _read_lines(self, seed: int, logged: set[int]) -> tuple[dict[int, list[dict[str, Any]]], list[str]]:
        """Reads the log until it has a line of each of these calls. Returns the lines of calls, and stray lines.

        The log belongs to another process, so it is looked at again and again.
        """
        lines: dict[int, list[dict[str, Any]]] = defaultdict(list)
        stray: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for text in self._read_new_lines():
                    if not text.startswith("{"):
                        stray.append(text)
                        continue
                    line = json.loads(text)
                    if line["message"] != "call":
                        stray += [text] * (line["level"] == "error")
                        continue
                    line_seed, number = read_request_id(line["request_id"])
                    if line_seed == seed:
                        lines[number].append(line)
                if logged <= lines.keys():
                    return lines, stray
                await asyncio.sleep(_LOOK_SECONDS)

    def _read_new_lines(self) -> Iterator[str]:
        with self.server.log.open("rb") as log:
            log.seek(self._log_offset)
            for text in log:
                if not text.endswith(b"\n"):
                    return
                self._log_offset += len(text)
                yield text.decode()


@asynccontextmanager
async def serving_rounds(
    folder: Path,
    variables: Mapping[str, str] | None = None,
    *,
    limit_seconds: float = LIMIT_SECONDS,
    **options: Any,
) -> AsyncIterator[Rounds]:
    """Starts an upstream and a server process in front of it, and yields what runs rounds against them.

    The server waits so long for a token. The process gets these variables of its environment, and `options`.
    """
    with refusing_api_base() as refusing:
        async with FakeUpstream() as fake:
            write_config(folder, fake, refusing, limit_seconds)
            async with (
                ServerFolder(folder, fake, variables=variables or {}).serving(**options) as server,
                grpc.aio.insecure_channel(server.address) as channel,
            ):
                yield Rounds(server, PlannedUpstream(fake), channel)
