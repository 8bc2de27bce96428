"""`run_fault`: lets replicas meet one kind of fault, while all loads run, and collects what their callers noticed."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.replicas.fleet import Fleet, Replica, wait_until_used
from bench.replicas.observation import DEADLINE_SECONDS, Observation, Strike
from bench.restart.load import Load
from bench.restart.servers import DRAIN_DELAY_SECONDS, GRACE_SECONDS

_STEADY_SECONDS: Final = 3.0
"""The load before each strike, and after the replica is used again."""
_SILENT_SECONDS: Final = 50.0
"""How long a replica hangs or is cut off: longer than the keepalive of the client and of Envoy, which takes 40 s."""
_SLOW_SECONDS: Final = 20.0
_PERIOD_SECONDS, _SHARE = 0.1, 0.02
"""A slow replica runs for this share of each period: a fiftieth of a core."""
_STOP_SECONDS: Final = DRAIN_DELAY_SECONDS + GRACE_SECONDS + 5.0
"""The time after which an orchestrator would kill a server that drains."""
_END_SECONDS: Final = DEADLINE_SECONDS + 15.0


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    strike: Callable[[Fleet, Replica], Awaitable[list[str]]]
    """Strikes a replica, returns when it is as before, and says what the replica did that it must not."""
    is_for_all: bool = False
    """Whether each replica is struck, one after another; otherwise the first one is."""


async def run_fault(name: str, fleet: Fleet, loads: Mapping[str, Load]) -> list[Observation]:
    """Runs the loads, which have the names of their balancings, through one kind of fault."""
    fault = FAULTS[name]
    strikes: dict[str, list[Strike]] = {balancing: [] for balancing in loads}
    await fleet.wait_for_envoy()
    began = time.time()
    for load in loads.values():
        load.start()
    try:
        if not await wait_until_used(fleet.replicas, list(loads.values()), began):
            raise RuntimeError("a replica gets no calls, though all are well")
        for replica in fleet.replicas if fault.is_for_all else fleet.replicas[:1]:
            await asyncio.sleep(_STEADY_SECONDS)
            for balancing, strike in (await _strike(fault, fleet, replica, loads)).items():
                strikes[balancing].append(strike)
        await asyncio.sleep(_STEADY_SECONDS)
    finally:
        await asyncio.gather(*(_stop(load) for load in loads.values()))
    ended = {replica.number: list(replica.log.read()) for replica in fleet.replicas}
    return [Observation(name, balancing, load.calls, strikes[balancing], ended) for balancing, load in loads.items()]


async def _strike(fault: Fault, fleet: Fleet, replica: Replica, loads: Mapping[str, Load]) -> dict[str, Strike]:
    """Strikes one replica, and waits until each load uses it again."""
    began = time.time()
    strikes = {
        balancing: Strike(replica.number, began, frozenset(call.request_id for call in load.list_in_flight()))
        for balancing, load in loads.items()
    }
    problems = await fault.strike(fleet, replica)
    ended = time.time()

    async def wait(balancing: str) -> None:
        strikes[balancing].end_time = ended
        strikes[balancing].problems += problems
        if await wait_until_used([replica], [loads[balancing]], ended):
            strikes[balancing].used_again_seconds = round(time.time() - ended, 1)

    await asyncio.gather(*(wait(balancing) for balancing in loads))
    return strikes


async def _stop(load: Load) -> None:
    """Ends a load. Calls that go on long after their deadline are left, and count as calls that did not end."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await load.stop()
    except TimeoutError:
        print(f"{len(load.list_in_flight())} calls go on after their deadline")


async def _restart(_fleet: Fleet, replica: Replica) -> list[str]:
    stop = await replica.server.stop()
    await replica.server.start()
    if stop["exit_code"] == 0 and stop["seconds"] <= _STOP_SECONDS:
        return []
    return [f"replica {replica.number} ended with {stop['exit_code']} after {stop['seconds']} s"]


async def _kill(_fleet: Fleet, replica: Replica) -> list[str]:
    await replica.server.kill()
    await replica.server.start()
    return []


async def _slow(_fleet: Fleet, replica: Replica) -> list[str]:
    process = replica.server.process
    assert process is not None
    give_up = time.monotonic() + _SLOW_SECONDS
    try:
        while time.monotonic() < give_up:
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(_PERIOD_SECONDS * (1 - _SHARE))
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(_PERIOD_SECONDS * _SHARE)
    finally:
        process.send_signal(signal.SIGCONT)
    return []


async def _hang(_fleet: Fleet, replica: Replica) -> list[str]:
    process = replica.server.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(_SILENT_SECONDS)
    finally:
        process.send_signal(signal.SIGCONT)
    return []


async def _partition(fleet: Fleet, replica: Replica) -> list[str]:
    fleet.network.cut(replica.number)
    try:
        await asyncio.sleep(_SILENT_SECONDS)
    finally:
        fleet.network.heal(replica.number)
    return []


FAULTS: Final[Mapping[str, Fault]] = {
    "restart": Fault(_restart, is_for_all=True),
    "kill": Fault(_kill, is_for_all=True),
    "slow": Fault(_slow),
    "hang": Fault(_hang),
    "partition": Fault(_partition),
}
"""The kinds of faults by name, in the order in which they are tried."""
