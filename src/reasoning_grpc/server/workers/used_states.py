"""`SharedUsedStates`: knows in all workers of a server which states of paused runs have gone on."""

import fcntl
import hashlib
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_HEADER: Final = struct.Struct("<q")
"""How often the file was rewritten."""
_RECORD: Final = struct.Struct("<d16s")
"""When a state expires, in seconds since 1970, and the digest of its id. At 0 the state may go on again."""
_MOST_OLD_RECORDS: Final = 1000
"""How many records that say nothing any more the file may have, beside as many as states that have not expired."""


class SharedUsedStates:
    """Remembers the ids of states until they expire. It implements the port `UsedStates`.

    The supervisor makes one before it forks the workers. They append their records to one file that has no name, and
    read what others have appended, under a lock that the system takes from a process that ends. A worker holds it for
    microseconds, and now and then for a rewrite of the file.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since 1970; the processes compare them."""
        self._clock: Final = clock
        self._file: Final = _open_file()
        self._ends = dict[bytes, float]()
        """When each digest expires, as far as this process has read."""
        self._rewrites = 0
        self._position = _HEADER.size
        """The end of what this process has read."""
        self._look_at = _MOST_OLD_RECORDS
        """The number of records at which this process looks for those that have expired."""
        self._write({})

    async def use(self, state_id: str, seconds: float) -> bool:
        """Records that the state goes on, and returns whether it did not before. It expires after these seconds."""
        key, now = _compute_digest(state_id), self._clock()
        with self._locked():
            if self._ends.get(key, 0.0) > now:
                return False
            self._append(key, now + seconds)
            self._forget_expired(now)
        return True

    def release(self, state_id: str) -> None:
        """Forgets that the state went on: the call failed before it did anything."""
        with self._locked():
            self._append(_compute_digest(state_id), 0.0)

    def measure(self) -> int:
        """Returns the size of the file in bytes."""
        return os.fstat(self._file).st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lets no other process read or write within the block, which begins with all that they have written."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            self._read()
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _read(self) -> None:
        (rewrites,) = _HEADER.unpack(os.pread(self._file, _HEADER.size, 0))
        if rewrites != self._rewrites:
            self._rewrites, self._position = rewrites, _HEADER.size
            self._ends.clear()
        new = os.pread(self._file, self.measure() - self._position, self._position)
        whole = len(new) - len(new) % _RECORD.size  # a process that was killed may have left a part of a record
        for end, key in _RECORD.iter_unpack(new[:whole]):
            self._ends[key] = end
        self._position += whole

    def _append(self, key: bytes, end: float) -> None:
        self._position += os.pwrite(self._file, _RECORD.pack(end, key), self._position)
        self._ends[key] = end

    def _forget_expired(self, now: float) -> None:
        """Rewrites the file when most of its records say nothing any more.

        It looks after as many uses as there are records to look at, so that a use costs as much with many as with few.
        """
        records = (self._position - _HEADER.size) // _RECORD.size
        if records < self._look_at:
            return
        valid = {key: end for key, end in self._ends.items() if end > now}
        if records > 2 * len(valid):
            self._rewrites += 1
            self._ends = valid
            self._write(valid)
        self._look_at = 2 * len(valid) + _MOST_OLD_RECORDS

    def _write(self, ends: Mapping[bytes, float]) -> None:
        """Writes the whole file.

        A process that is killed before the file is cut leaves old records behind the new ones. They are the last of the
        file, so that they end with what the new ones say.
        """
        content = _HEADER.pack(self._rewrites) + b"".join(_RECORD.pack(end, key) for key, end in ends.items())
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        self._position = len(content)


def _open_file() -> int:
    """Returns the descriptor of an empty file, in memory where the system allows that, which forked processes share."""
    try:
        return os.memfd_create("used states of paused runs")
    except (AttributeError, OSError):  # another system, or a sandbox that forbids it
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


def _compute_digest(state_id: str) -> bytes:
    return hashlib.sha256(state_id.encode()).digest()[:16]
