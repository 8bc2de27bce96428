"""The messages between a supervisor and a worker."""

import msgspec

from reasoning_grpc.server.reports import WorkerReport


class Listen(msgspec.Struct, frozen=True, tag="listen"):
    """Lets a worker that is warm listen."""


class EmbeddedAnswers(msgspec.Struct, frozen=True, tag="embedded"):
    """The embedded model answers here now."""

    api_base: str
    """Empty: it does not answer, because it restarts."""
    api_key: str

    def __repr__(self) -> str:
        return f"EmbeddedAnswers(api_base={self.api_base!r})"


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Lets a worker drain and end; the times are those of `Server.stop`."""

    delay_seconds: float
    grace_seconds: float


class WorkerTask(msgspec.Struct, frozen=True, tag="task"):
    """A task for a worker, which answers it by `TaskDone`."""

    id: int
    name: str
    """The name under which the worker has a handler."""
    payload: bytes = b""


class TaskDone(msgspec.Struct, frozen=True, tag="done"):
    """The answer to a `WorkerTask`."""

    id: int
    problem: str = ""
    """Why the task failed, in one line; empty: it is done."""


class StartFailed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker cannot start, and ends."""

    problem: str
    """One line that says why."""


ToWorker = Listen | EmbeddedAnswers | Drain | WorkerTask
FromWorker = WorkerReport | TaskDone | StartFailed
