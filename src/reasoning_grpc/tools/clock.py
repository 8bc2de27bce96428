"""`current_time`: what time it is, in any time zone."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final, TypedDict
from zoneinfo import ZoneInfo

from pydantic import Field

from reasoning_grpc.tools.errors import ToolError

_LONGEST_NAME: Final = 64


class CurrentTime(TypedDict):
    """What `current_time` answers."""

    time: str
    """ISO 8601, with the offset from UTC."""
    weekday: str
    time_zone: str
    utc: str


def current_time(
    time_zone: Annotated[str, Field(description='IANA name of a time zone, such as "Europe/Berlin".')] = "UTC",
) -> CurrentTime:
    """Tell the current date and time in a time zone."""
    zone = _zone(time_zone)
    now = datetime.now(UTC).replace(microsecond=0)
    there = now.astimezone(zone)
    return CurrentTime(time=there.isoformat(), weekday=there.strftime("%A"), time_zone=time_zone, utc=now.isoformat())


def _zone(name: str) -> tzinfo:
    """The time zone of a name. Raises ToolError."""
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    try:
        if len(name) > _LONGEST_NAME:
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a path, a name that nothing bears, a folder of names
        raise ToolError(f"There is no time zone {name[:_LONGEST_NAME]!r}; use an IANA name.") from None
