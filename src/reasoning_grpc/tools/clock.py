"""`current_time`: a tool that tells the time in any time zone."""

from datetime import UTC, datetime, tzinfo
from typing import Annotated, Final, TypedDict
from zoneinfo import ZoneInfo

from pydantic import Field

from reasoning_grpc.tools.errors import ToolError

_MAX_NAME_CHARACTERS: Final = 64


class CurrentTime(TypedDict):
    """The answer of `current_time`."""

    time: str
    """The time in ISO 8601, with the offset from UTC."""
    weekday: str
    time_zone: str
    utc: str


def current_time(
    time_zone: Annotated[str, Field(description='IANA name of a time zone, such as "Europe/Berlin".')] = "UTC",
) -> CurrentTime:
    """Tell the current date and time in a time zone."""
    zone = _find_zone(time_zone)
    now = datetime.now(UTC).replace(microsecond=0)
    there = now.astimezone(zone)
    return CurrentTime(time=there.isoformat(), weekday=there.strftime("%A"), time_zone=time_zone, utc=now.isoformat())


def _find_zone(name: str) -> tzinfo:
    """Returns the time zone of this name. Raises ToolError."""
    if name.upper() in {"UTC", "Z", "GMT"}:
        return UTC
    try:
        if len(name) > _MAX_NAME_CHARACTERS:
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # a path, an unknown name, or the name of a folder
        raise ToolError(f"There is no time zone {name[:_MAX_NAME_CHARACTERS]!r}; use an IANA name.") from None
