"""Converts numbers and times."""

from datetime import datetime
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_NANO: Final = 1_000_000_000
_LARGEST_INT32: Final = 2**31 - 1


def token_count(count: int) -> int:
    """Returns a number of tokens, at most the largest int32: only a broken upstream reports more."""
    return min(count, _LARGEST_INT32)


def optional_token_count(count: int | None) -> int | None:
    """Returns a number of tokens; None leaves the field unset."""
    return None if count is None else token_count(count)


def milliseconds(seconds: float) -> int:
    """Returns whole milliseconds, at most the largest int32, which is 24 days."""
    return min(int(seconds * 1000), _LARGEST_INT32)


def duration(seconds: float) -> Any:
    """Returns the fields of a `Duration`, to the nanosecond, which a message takes in its place for less."""
    whole, nanos = divmod(round(seconds * _NANO), _NANO)
    return {"seconds": whole, "nanos": nanos}


def seconds_of(duration: Duration) -> float:
    """Returns the seconds of a duration."""
    return duration.seconds + duration.nanos / 1e9


def optional_duration(seconds: float | None) -> Any:
    """Returns the duration; None leaves the field unset."""
    return None if seconds is None else duration(seconds)


def timestamp(when: datetime) -> Timestamp:
    """Returns the time as a timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(when)
    return stamp
