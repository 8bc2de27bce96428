"""Workers that die are replaced ever more slowly, and given up when they never start."""

from reasoning_grpc.server.workers.restarts import MOST_FAILED_STARTS, Restarts


def test_a_worker_that_ran_well_is_replaced_at_once() -> None:
    """A worker that dies after a long run has no delay, however others ended before."""
    restarts = Restarts()
    for _ in range(3):
        restarts.record_end(has_served=True, lived_seconds=1.0)

    assert restarts.record_end(has_served=True, lived_seconds=3600.0) == 0.0


def test_delays_double_up_to_half_a_minute() -> None:
    """Workers that die soon after each other are replaced after 0, 0.1, 0.2, 0.4 seconds, and so on."""
    restarts = Restarts()

    delays = [restarts.record_end(has_served=True, lived_seconds=1.0) for _ in range(12)]

    assert delays[:4] == [0.0, 0.1, 0.2, 0.4]
    assert delays[-1] == 30.0
    assert not restarts.are_hopeless


def test_a_worker_that_never_starts_is_given_up() -> None:
    """Some starts in a row that fail are too many; one that succeeds between them starts the count again."""
    restarts = Restarts()
    for _ in range(MOST_FAILED_STARTS - 1):
        restarts.record_end(has_served=False, lived_seconds=1.0)
    restarts.record_end(has_served=True, lived_seconds=1.0)
    for _ in range(MOST_FAILED_STARTS - 1):
        restarts.record_end(has_served=False, lived_seconds=1.0)
    before = restarts.are_hopeless

    restarts.record_end(has_served=False, lived_seconds=1.0)

    assert (before, restarts.are_hopeless) == (False, True)
