"""Converts numbers and times."""

from datetime import datetime
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANO: Final = 1_000_000_000
LARGEST_INT32: Final = 2**31 - 1


def token_count(count: int) -> int:
    """Returns a number of tokens, at most the largest int32: only a broken upstream reports more."""
    return min(count, LARGEST_INT32)


def optional_token_count(count: int | None) -> int | None:
    """Returns a number of tokens; None leaves the field unset."""
    return None if count is None else token_count(count)


def write_duration(message: Duration, seconds: float) -> None:
    """Writes a duration, to the nanosecond."""
    nanos = round(seconds * _NANO)
    if nanos >= _NANO:
        message.seconds, nanos = divmod(nanos, _NANO)
    message.nanos = nanos


def seconds_of(duration: Duration) -> float:
    """Returns the seconds of a duration."""
    return duration.seconds + duration.nanos / 1e9


def timestamp(when: datetime) -> Timestamp:
    """Returns the time as a timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
