"""The delay that an upstream asks for before the next attempt."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 300.0
"""A longer delay is reported as this one."""


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds from now until the upstream takes another attempt, at most `MAX_RETRY_AFTER_SECONDS`.

    The header is a number or an HTTP date (RFC 9110, section 10.2.3); a LiteLLM proxy has another name for it.
    Returns None when there is no usable value.
    """
    for name in ("retry-after", "llm_provider-retry-after"):
        text = headers.get(name)
        if text is None:
            continue
        seconds = _parse_delay(text.strip(), now)
        if seconds is not None and seconds >= 0:
            return min(seconds, MAX_RETRY_AFTER_SECONDS)
    return None


def _parse_delay(text: str, now: datetime) -> float | None:
    if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text):
        return float(text)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
