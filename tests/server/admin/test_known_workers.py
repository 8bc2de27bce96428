"""What the admin ports say of workers follows from their reports, and from their silence."""

from typing import Final

from reasoning_grpc.server.admin.workers import HUNG_SECONDS, KnownWorkers
from reasoning_grpc.server.reload_status import ReloadStatus
from reasoning_grpc.server.reports import SupervisorReport, WorkerEnded, WorkerReport, WorkerState
from reasoning_grpc.telemetry import families

SOON: Final = HUNG_SECONDS / 2
LONG: Final = HUNG_SECONDS * 2


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def report(worker: int, state: WorkerState = WorkerState.SERVING, process_id: int | None = None) -> WorkerReport:
    """Returns a report of a worker."""
    return WorkerReport(worker, worker if process_id is None else process_id, state)


def test_a_server_is_alive_and_not_ready_before_it_serves() -> None:
    """A server that has just started, and one that is warm, are alive and not ready."""
    workers = KnownWorkers(Clock())
    before = workers.is_alive, workers.is_ready

    workers.record(report(1, WorkerState.WARM))

    assert before == (workers.is_alive, workers.is_ready) == (True, False)


def test_a_server_that_never_reports_hangs() -> None:
    """A server from which nothing comes at all is not alive."""
    clock = Clock()
    workers = KnownWorkers(clock)

    clock.now += LONG

    assert not workers.is_alive


def test_one_worker_that_serves_makes_a_server_ready() -> None:
    """With workers, one of them suffices; one that drains does not count."""
    workers = KnownWorkers(Clock())
    workers.record(report(1, WorkerState.DRAINING))
    not_ready = workers.is_ready

    workers.record(report(2))

    assert (not_ready, workers.is_ready) == (False, True)


def test_a_silent_worker_hangs_and_recovers() -> None:
    """A worker that has been silent for too long is neither alive nor ready; its next report makes it both."""
    clock = Clock()
    workers = KnownWorkers(clock)
    workers.record(report(1))

    clock.now += SOON
    assert (workers.is_alive, workers.is_ready) == (True, True)
    clock.now += LONG
    assert (workers.is_alive, workers.is_ready) == (False, False)
    assert workers.count_states()["hung"] == 1
    workers.record(report(1))
    assert (workers.is_alive, workers.is_ready) == (True, True)


def test_a_worker_that_ended_does_not_hang() -> None:
    """A worker that has ended is missing until another one takes its place, and the server stays alive."""
    clock = Clock()
    workers = KnownWorkers(clock)
    workers.record(report(1))
    workers.record(report(2))
    workers.record(WorkerEnded(2, 2))
    clock.now += LONG
    workers.record(report(1))
    workers.record(SupervisorReport(workers=2, restarts=1))

    assert (workers.is_alive, workers.is_ready) == (True, True)
    assert workers.count_states() | {"serving": 1, "missing": 1, "hung": 0} == workers.count_states()
    assert workers.merge_metrics().numbers[families.WORKER_RESTARTS.name] == {(): 1}


def test_the_end_of_a_worker_says_nothing_of_the_next_one() -> None:
    """A report of the next worker with the same number may come before the end of the last one is noticed."""
    workers = KnownWorkers(Clock())
    workers.record(report(1, process_id=10))
    workers.record(report(1, process_id=11))

    workers.record(WorkerEnded(1, 10))

    assert workers.is_ready


def test_the_reloads_are_those_of_the_supervisor() -> None:
    """With workers the supervisor reloads: its status is that of the server, and its counts are in the metrics once."""
    workers = KnownWorkers(Clock())
    status = ReloadStatus("abc", reloads=3, failures=1, last_time=7.0, problems=("no",), needs_restart=("listen",))
    workers.record(report(1))
    workers.record(SupervisorReport(workers=2, restarts=0, reload_status=status))

    assert workers.describe()["reload"] == status.describe()
    numbers = workers.merge_metrics().numbers
    assert numbers[families.RELOADS.name] == {("SUCCEEDED",): 3, ("FAILED",): 1}
    assert numbers[families.RELOAD_FAILING.name] == {(): 1}
    assert numbers[families.RELOAD_TIME.name] == {(): 7.0}


def test_a_silent_supervisor_hangs() -> None:
    """A supervisor that is silent would replace no worker, so the server is not alive, although it still answers."""
    clock = Clock()
    workers = KnownWorkers(clock)
    workers.record(SupervisorReport(workers=1, restarts=0))

    clock.now += LONG
    workers.record(report(1))

    assert (workers.is_alive, workers.is_ready) == (False, True)
    assert workers.describe()["supervisor"] == "hung"
