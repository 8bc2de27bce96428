"""`ProcessIdentity`: names one process of one machine, so that nobody mistakes another process for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The number of a process, and when it was started: later, or elsewhere, another process has the same number."""

    id: int
    started: int | None
    """In ticks of the system's clock since the machine was started; None where there is no /proc."""

    @classmethod
    def read(cls, process_id: int) -> Self:
        """Reads the identity of the process that has a number now."""
        try:
            stat = Path(f"/proc/{process_id}/stat").read_text("utf-8", "replace")
        except OSError:
            return cls(process_id, None)
        return cls(process_id, int(stat.rpartition(")")[2].split()[19]))  # the name before it may have spaces

    def describe(self) -> dict[str, Any]:
        """Returns the identity as JSON has it."""
        return {"id": self.id, "started": self.started}
