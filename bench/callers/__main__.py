"""`python -m bench.callers`: lets callers with limits call a server, and reloads it and replaces its files under load.

One server of this checkout serves with TLS. In each phase clients call it as fast as they are answered, each over a new
connection after twenty calls. Prints a table for docs/callers.md, and fails when a call failed that may not fail.
"""

import argparse
import asyncio
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from bench.callers.load import Load
from bench.callers.server import FOLDER, LIMITS, Server
from bench.figures import find_percentile
from bench.upstream import build_mock, start_mock

_REFUSED: Final = "CALLER_LIMIT"


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    loads: list[Load]
    note: str
    may_be_refused: bool = False

    @property
    def failed(self) -> int:
        """The calls that ended otherwise than they may."""
        allowed = {"OK", _REFUSED} if self.may_be_refused else {"OK"}
        return sum(count for load in self.loads for reason, count in load.outcomes.items() if reason not in allowed)

    def format(self) -> str:
        """Returns the line."""
        outcomes = sum((load.outcomes for load in self.loads), Counter[str]())
        latencies = [each for load in self.loads for each in load.latencies]
        worst = f"{find_percentile(latencies, 0.99) * 1e3:.0f} / {max(latencies) * 1e3:.0f}"
        return f"| {self.what} | {outcomes['OK']:,} | {outcomes[_REFUSED]:,} | {self.failed} | {worst} | {self.note} |"


async def _run_under_load(server: Server, act: Callable[[Load], Awaitable[str]], what: str) -> Row:
    """Runs one phase while a caller makes calls; `act` returns what the note of its line is."""
    load, stop = Load(server, "carol"), asyncio.Event()
    running = asyncio.create_task(load.run(stop))
    note = await act(load)
    stop.set()
    await running
    return Row(what, [load], note)


async def _run(server: Server, seconds: float) -> list[Row]:
    await server.wait_for_line("serving", 1)
    pause = seconds / 6

    async def compare_callers() -> list[Row]:
        loads, stop = {name: Load(server, name) for name in LIMITS}, asyncio.Event()
        running = asyncio.gather(*(load.run(stop) for load in loads.values()))
        await asyncio.sleep(seconds)
        stop.set()
        await running
        log = server.log.read_text()
        rows = []
        for name, load in loads.items():
            seen = f"its trailers name {' and '.join(sorted(load.limits))}; canaries in the log: {log.count('canary')}"
            rows.append(Row(f"`{name}`, {LIMITS[name]:,} requests a minute", [load], seen, may_be_refused=True))
        return rows

    async def change_limits(load: Load) -> str:
        took = []
        for limit in (2, 3, 4, 5):
            await asyncio.sleep(pause)
            server.write_config({"carol": ["carol"]}, limit * 10**6)
            took.append(await server.reload())
        await asyncio.sleep(pause)
        return f"4 reloads, each within {max(took) * 1e3:.0f} ms; trailers name {len(load.limits)} limits in turn"

    async def rotate_token(load: Load) -> str:
        await asyncio.sleep(pause)
        server.write_config({"carol": ["carol", "carols-next"]})
        await server.reload()
        load.token = "carols-next"
        await asyncio.sleep(2 * pause)  # every client has opened a connection since then
        server.write_config({"carol": ["carols-next"]})
        await server.reload()
        await asyncio.sleep(2 * pause)
        server.write_config({"carol": ["carol", "carols-next"]})
        await server.reload()
        return "the next token was added, used, and the old one removed"

    async def replace_certificate(_load: Load) -> str:
        before = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", server.port))
        await asyncio.sleep(2 * pause)
        server.write_certificate(1)
        started = time.monotonic()
        while True:
            if await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", server.port)) != before:
                break
        took_ms = (time.monotonic() - started) * 1e3
        await asyncio.sleep(3 * pause)
        return f"new connections had the new one after {took_ms:.0f} ms, without a reload"

    return [
        *await compare_callers(),
        await _run_under_load(server, change_limits, "limits changed by reloads"),
        await _run_under_load(server, rotate_token, "a token rotated"),
        await _run_under_load(server, replace_certificate, "the certificate replaced"),
    ]


def main() -> int:
    """Runs all phases; returns 1 when a call failed that may not fail."""
    parser = argparse.ArgumentParser(prog="bench.callers", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="how long each phase takes, about")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    mock, mock_port = start_mock(build_mock(FOLDER), FOLDER)
    server = Server(mock_port)
    try:
        rows = asyncio.run(_run(server, arguments.seconds))
    finally:
        server.process.stop()
        mock.stop()
    print("| what | answered | refused | failed | p99 / longest, ms | besides |\n|---|---|---|---|---|---|")
    for row in rows:
        print(row.format())
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
