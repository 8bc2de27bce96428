"""`FactsRecord`: a log record for a line that is written at every call, so it must cost little."""

import logging
import time
from typing import Any, Final

_UNKNOWN: Final = ("thread", "threadName", "process", "processName", "taskName")
"""The attributes that a record of the standard library reads from the system, and that no format of ours has."""
_BLANK: Final = vars(logging.makeLogRecord(dict.fromkeys(_UNKNOWN)))
"""All attributes of a log record, of which the blank one says nothing."""


class FactsRecord(logging.LogRecord):
    """A log record with its facts in one mapping: names, and values that JSON has or enums of strings.

    Each fact is an attribute as well, like each value of `extra`. The record names no line of code: the search for that
    line is what makes the standard library's own way of logging expensive.
    """

    __slots__ = ("facts",)

    def __init__(self, name: str, level: int, message: str, facts: dict[str, Any], exc_info: Any = None) -> None:
        now = time.time()
        self.facts = facts
        self.__dict__ = {
            **_BLANK,
            "name": name,
            "msg": message,
            "levelno": level,
            "levelname": logging.getLevelName(level),
            "created": now,
            "msecs": now % 1 * 1000,
            "relativeCreated": _BLANK["relativeCreated"] + (now - _BLANK["created"]) * 1000,
            "exc_info": exc_info,
            **facts,
        }
