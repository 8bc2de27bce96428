"""`Snapshot`: the values of all metrics of a process at one moment, which travel between processes and are merged."""

from collections.abc import Iterable
from typing import Final

import msgspec

from reasoning_grpc.telemetry.metrics.families import FAMILIES
from reasoning_grpc.telemetry.metrics.family import Kind, Merge

_GAUGES: Final = {family.name: family.merge for family in FAMILIES if family.kind is Kind.GAUGE}
_MERGES: Final = {Merge.MAX: max, Merge.MIN: min}

Labels = tuple[str, ...]
"""The values of a family's labels in the order of their declaration, without the constant ones."""


class Distribution(msgspec.Struct, array_like=True):
    """The values of one series of a histogram: how many each bucket has, the last one without a bound, and the sum."""

    counts: list[int]
    sum: float

    def add(self, other: "Distribution") -> None:
        """Adds the values of another distribution with the same buckets."""
        self.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Snapshot(msgspec.Struct):
    """All series by the names of their families."""

    numbers: dict[str, dict[Labels, float]] = msgspec.field(default_factory=dict)
    """The series of counters and gauges."""
    distributions: dict[str, dict[Labels, Distribution]] = msgspec.field(default_factory=dict)
    """The series of histograms."""

    def encode(self) -> bytes:
        """Returns the snapshot as bytes for another process."""
        return _encode(self)

    @classmethod
    def decode(cls, data: bytes) -> "Snapshot":
        """Reads what `encode` of the same version wrote. Raises ValueError."""
        return _decode(data)

    def merge(self, other: "Snapshot") -> None:
        """Merges the series of another process: counters and histograms are added, gauges by their own rule."""
        for name, series in other.numbers.items():
            rule = _MERGES.get(_GAUGES.get(name, Merge.SUM))
            mine = self.numbers.setdefault(name, {})
            for labels, value in series.items():
                if labels not in mine:
                    mine[labels] = value
                else:
                    mine[labels] = mine[labels] + value if rule is None else rule(mine[labels], value)
        for name, distributions in other.distributions.items():
            my_distributions = self.distributions.setdefault(name, {})
            for labels, distribution in distributions.items():
                if labels in my_distributions:
                    my_distributions[labels].add(distribution)
                else:
                    my_distributions[labels] = Distribution(list(distribution.counts), distribution.sum)

    def drop_gauges(self) -> None:
        """Removes what says something about this moment: what is left stays true when the process has ended."""
        self.numbers = {name: series for name, series in self.numbers.items() if name not in _GAUGES}


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Snapshot).decode


def merge_snapshots(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Returns a new snapshot with the values of all of them."""
    merged = Snapshot()
    for snapshot in snapshots:
        merged.merge(snapshot)
    return merged


class WorkerSnapshots:
    """The last snapshot of each worker, and the counts of those that have ended, so that no counter goes back.

    A worker that does not answer in time counts with its last snapshot. What a worker counted after its last snapshot
    is lost when it is killed, so it sends one at short intervals, and one when it stops.
    """

    def __init__(self) -> None:
        self._workers: dict[str, Snapshot] = {}
        self._ended = Snapshot()

    def update(self, worker: str, snapshot: Snapshot) -> None:
        """Replaces the snapshot of a worker. Its name must never be used for another worker."""
        self._workers[worker] = snapshot

    def retire(self, worker: str) -> None:
        """Records that a worker has ended: its counters stay, and its gauges go."""
        snapshot = self._workers.pop(worker, None)
        if snapshot is not None:
            snapshot.drop_gauges()
            self._ended.merge(snapshot)

    def merge(self) -> Snapshot:
        """Returns the values of all workers, living and ended."""
        return merge_snapshots((self._ended, *self._workers.values()))
