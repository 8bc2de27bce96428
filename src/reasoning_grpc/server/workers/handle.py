"""`WorkerHandle`: one worker, as the supervisor sees it."""

import asyncio
import itertools
import os
import signal
import time

import msgspec

from reasoning_grpc.config import Config
from reasoning_grpc.server.channel import Channel
from reasoning_grpc.server.reports import WorkerState
from reasoning_grpc.server.workers.messages import TaskDone, WorkerTask


class WorkerHandle:
    """Knows the process and the state of a worker, and sends it messages."""

    def __init__(self, number: int, process_id: int, channel: Channel, config: Config) -> None:
        """`config` is the configuration that it was forked with."""
        self.number = number
        self.process_id = process_id
        self.channel = channel
        self.config = config
        """The configuration with which it serves."""
        self.state = WorkerState.STARTING
        """The state that the worker reported last."""
        self.has_served = False
        self.may_listen = False
        """Whether it has got `Listen`."""
        self.problem = ""
        """Why it could not start, if it has reported that."""
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Gets the exit code, or the negative number of the signal, when the process has ended."""
        self._started = time.monotonic()
        self._tasks = dict[int, asyncio.Future[str]]()
        self._ids = itertools.count()

    @property
    def is_draining(self) -> bool:
        """Whether it ends, and goes on with the configuration that it has."""
        return self.state is WorkerState.DRAINING

    @property
    def lived_seconds(self) -> float:
        """The time since the start."""
        return time.monotonic() - self._started

    def send(self, message: msgspec.Struct) -> None:
        """Sends a message; one that has ended gets it no more."""
        self.channel.send(message)

    def kill(self) -> None:
        """Ends the process at once."""
        if not self.ended.done():  # another process may have the id of one that has ended
            os.kill(self.process_id, signal.SIGKILL)

    async def do(self, name: str, payload: bytes = b"") -> str:
        """Lets the worker do a task, and returns its problem; empty: the task is done.

        A worker that ends meanwhile has the problem that it has ended. The caller bounds the time.
        """
        task = WorkerTask(next(self._ids), name, payload)
        answer = self._tasks[task.id] = asyncio.get_running_loop().create_future()
        try:
            self.send(task)
            await asyncio.wait([answer, self.ended], return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else f"worker {self.number} has ended"
        finally:
            del self._tasks[task.id]

    async def finish(self, name: str) -> None:
        """Lets the worker end what it has prepared; one that fails is killed, so that another takes its place."""
        if await self.do(name):
            self.kill()

    def finish_task(self, done: TaskDone) -> None:
        """Takes the answer to a task; one that nobody waits for any more is dropped."""
        if (answer := self._tasks.get(done.id)) is not None and not answer.done():
            answer.set_result(done.problem)
