"""`supervise`: the life of a process that supervises workers."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NoReturn

from reasoning_grpc.config import Config
from reasoning_grpc.pauses import PauseMemory
from reasoning_grpc.server.start_error import StartError
from reasoning_grpc.server.workers.fork import fork_process
from reasoning_grpc.server.workers.reservation import PortReservation
from reasoning_grpc.server.workers.supervisor import Supervisor
from reasoning_grpc.server.workers.used_states import SharedUsedStates
from reasoning_grpc.telemetry import TelemetryPlan


def supervise(
    config: Config,
    plan: TelemetryPlan,
    count: int,
    *,
    control: Callable[[Supervisor], None],
    on_serving: Callable[[str], None],
    on_config: Callable[[int, Config], None],
) -> None:
    """Serves with `count` workers until the supervisor stops, and returns when all have drained. Raises StartError.

    `control` is called once, on the event loop, and lets signals stop the supervisor. `on_serving` gets the address.
    `on_config` is called in each worker, with its number, for each configuration that takes effect there.
    """
    if not hasattr(os, "fork") or not hasattr(socket, "SO_REUSEPORT"):
        raise StartError("workers: this system cannot fork processes that share a port")
    with PortReservation(config.settings.listen) as reservation, asyncio.Runner() as runner:
        config = replace(config, settings=replace(config.settings, listen=reservation.address))
        # Made before any fork, so that a run goes on in whichever worker its next request reaches.
        pause_memory = PauseMemory(used_states=SharedUsedStates())
        supervisor = runner.run(_create(config, count, on_serving, control))
        while (number := runner.run(supervisor.wait_for_fork())) is not None:
            ours, theirs = socket.socketpair()
            config = supervisor.config
            run = partial(_become_worker, config, plan, number, theirs, pause_memory, on_config)
            process_id = fork_process(run, without=[ours.fileno(), *supervisor.list_descriptors()])
            theirs.close()
            runner.run(supervisor.adopt(number, process_id, ours, config))


async def _create(
    config: Config, count: int, on_serving: Callable[[str], None], control: Callable[[Supervisor], None]
) -> Supervisor:
    supervisor = Supervisor(config, count, on_serving)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, supervisor.reap)
    control(supervisor)
    return supervisor


def _become_worker(
    config: Config,
    plan: TelemetryPlan,
    number: int,
    end: socket.socket,
    pause_memory: PauseMemory,
    on_config: Callable[[int, Config], None],
) -> NoReturn:
    """Serves as a worker in a process that was just forked, and ends it."""
    gc.freeze()  # a collection would copy the memory that this process shares with the supervisor
    on_config(number, config)
    from reasoning_grpc.server.workers.worker import run_worker  # imports grpc

    run_worker(config, plan, number, end, pause_memory, partial(on_config, number))
