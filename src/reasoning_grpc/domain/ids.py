"""`create_id`: ids that nobody else creates."""

import os
from typing import Final

_ID_CHARACTERS: Final = 32
_IDS_AT_ONCE: Final = 64


class _Supply:
    """Random digits, for which the system is asked rarely, because each question takes longer than all of the rest."""

    def __init__(self) -> None:
        self._digits = ""
        self._used = 0

    def take(self) -> str:
        """Returns the next digits."""
        start = self._used
        if start >= len(self._digits):
            self._digits, start = os.urandom(_ID_CHARACTERS // 2 * _IDS_AT_ONCE).hex(), 0
        self._used = end = start + _ID_CHARACTERS
        return self._digits[start:end]

    def clear(self) -> None:
        """Throws away what is left."""
        self._digits = ""


_supply: Final = _Supply()
os.register_at_fork(after_in_child=_supply.clear)  # two processes would else take the same digits


def create_id(prefix: str) -> str:
    """Returns an id: the prefix and 128 random bits of the system, as 32 hexadecimal digits."""
    return prefix + _supply.take()
