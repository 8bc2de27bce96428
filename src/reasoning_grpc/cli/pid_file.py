"""`PidFile`: how a command finds the process of a server, and what became of the last reload."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


class PidFileError(Exception):
    """The file cannot be used; the message is one line that says why."""


class PidFile:
    """A file with the number of the process that runs a server, and that holds a lock on it for as long.

    The number in a file that nobody locks is that of a process which has ended, and may be another's by now.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._status_path = path.with_name(path.name + ".reload")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Writes the number of this process, and removes the file at the end. Raises PidFileError."""
        try:
            with self._path.open("a+") as file:
                self._lock(file)
                file.truncate(0)
                file.write(f"{os.getpid()}\n")
                file.flush()
                self._status_path.unlink(missing_ok=True)
                try:
                    yield
                finally:
                    self._status_path.unlink(missing_ok=True)
                    self._path.unlink(missing_ok=True)  # before the lock ends with the open file
        except OSError as exc:
            raise PidFileError(f"pid_file: {self._path}: cannot be written: {exc.strerror}") from exc

    def find_process(self) -> int:
        """Returns the number of the process that runs the server. Raises PidFileError when none does."""
        try:
            with self._path.open("r+") as file:
                if not _is_locked(file):
                    raise PidFileError(f"{self._path}: no server runs; one that was killed left this file")
                return int(file.read())
        except FileNotFoundError:
            raise PidFileError(f"{self._path}: there is no such file, so no server runs") from None
        except OSError as exc:
            raise PidFileError(f"{self._path}: cannot be read: {exc.strerror}") from exc
        except ValueError:
            raise PidFileError(f"{self._path}: is not the file of a server") from None

    def write_status(self, status: dict[str, Any]) -> None:
        """Writes what became of the last reload, for the command that waits for it."""
        draft = self._status_path.with_name(self._status_path.name + ".new")
        draft.write_text(json.dumps(status))
        draft.replace(self._status_path)

    def read_status(self) -> dict[str, Any] | None:
        """Returns what became of the last reload; None when there was none."""
        try:
            status: dict[str, Any] = json.loads(self._status_path.read_text())
        except FileNotFoundError:
            return None
        return status

    def _lock(self, file: IO[str]) -> None:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise PidFileError(f"pid_file: {self._path} is that of another server, which runs") from None


def _is_locked(file: IO[str]) -> bool:
    """Whether another process holds the lock; it is not left locked by this one."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    fcntl.lockf(file, fcntl.LOCK_UN)
    return False
