"""Snapshots travel between processes and are merged: counters and histograms add up, gauges follow their rule."""

import msgspec
import pytest

from reasoning_grpc.telemetry import FAMILIES, Kind, Metrics, Snapshot, WorkerSnapshots, families
from tests.support.metrics import MetricsPage


def a_snapshot(calls: int = 1, in_flight: int = 2, open_files: int = 3, file_limit: int = 4) -> Snapshot:
    """Builds the snapshot of a worker."""
    metrics = Metrics()
    metrics.create_counter(families.CALLS).add(calls, "Complete", "OK", "")
    lag = metrics.create_histogram(families.LOOP_LAG)
    for _ in range(calls):
        lag.record(0.002)
    snapshot = metrics.take_snapshot()
    snapshot.numbers |= {
        families.CALLS_IN_FLIGHT.name: {(): in_flight},
        families.OPEN_FILES.name: {(): open_files},
        families.FILE_LIMIT.name: {(): file_limit},
    }
    return snapshot


def test_a_snapshot_survives_its_way_as_bytes() -> None:
    """What one process encodes, another one decodes to the same values."""
    snapshot = a_snapshot()

    assert Snapshot.decode(snapshot.encode()) == snapshot


def test_bytes_that_are_no_snapshot_are_refused() -> None:
    """Whoever reads the bytes of a dying worker learns that they are not whole."""
    data = a_snapshot().encode()

    for broken in (b"", data[:-1], b"\xff"):
        with pytest.raises(msgspec.DecodeError):
            Snapshot.decode(broken)


def test_workers_add_up() -> None:
    """Counters, histograms and most gauges are added; of some gauges the worst value counts."""
    page = MetricsPage.render([a_snapshot(1, 2, 30, 400), a_snapshot(10, 20, 3, 4000)])

    assert page.find("reasoning_grpc_calls_total", error_type="") == 11
    assert page.find("reasoning_grpc_event_loop_lag_seconds_count") == 11
    assert page.find("reasoning_grpc_event_loop_lag_seconds_bucket", le="0.0025") == 11
    assert page.find("reasoning_grpc_event_loop_lag_seconds_sum") == pytest.approx(0.022)
    assert page.find("reasoning_grpc_calls_in_flight") == 22
    assert page.find("process_open_file_descriptor_count") == 30
    assert page.find("reasoning_grpc_open_file_descriptor_limit") == 400


def test_a_worker_that_ended_keeps_its_counts() -> None:
    """Its counters and histograms stay, so that no counter goes back, and its gauges go."""
    workers = WorkerSnapshots()
    workers.update("1", a_snapshot(1, 2))
    workers.update("2", a_snapshot(10, 20))
    workers.update("1", a_snapshot(3, 4))

    workers.retire("1")
    workers.retire("never heard of")
    workers.update("3", a_snapshot(100, 200))
    page = MetricsPage.render([workers.merge()])

    assert page.find("reasoning_grpc_calls_total") == 113
    assert page.find("reasoning_grpc_event_loop_lag_seconds_count") == 113
    assert page.find("reasoning_grpc_calls_in_flight") == 220
    assert MetricsPage.render([workers.merge()]).find("reasoning_grpc_calls_total") == 113, "a merge changes nothing"


def test_every_family_is_declared_as_both_worlds_need_it() -> None:
    """Names are unique in both, histograms have rising buckets, and every label says what bounds it."""
    names = [family.name for family in FAMILIES]
    prometheus_names = [family.prometheus_name for family in FAMILIES]

    assert len(set(names)) == len(names)
    assert len(set(prometheus_names)) == len(prometheus_names)
    for family in FAMILIES:
        assert bool(family.bounds) == (family.kind is Kind.HISTOGRAM), family.name
        assert list(family.bounds) == sorted(set(family.bounds)), family.name
        assert family.help.endswith("."), family.name
        assert all(label.bounded_by for label in family.labels), family.name
        assert len(set(family.prometheus_label_names)) == len(family.label_names), family.name
