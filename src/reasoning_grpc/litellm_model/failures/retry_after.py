"""The delay that an upstream asks for before the next attempt, in every form that providers send."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_SECONDS: Final = 300.0
"""A longer delay is reported as this one."""

_DELAY_HEADERS: Final = ("retry-after-ms", "x-ms-retry-after-ms", "retry-after")
_PROXY_PREFIX: Final = "llm_provider-"
"""The prefix that a LiteLLM proxy puts before the names of a provider's headers."""

_RESET_HEADER: Final = re.compile(
    r"(?:llm_provider-)?(?:x-|anthropic-)?(?:ratelimit|rate-limit|ratelimitbysize)(?:-[a-z]+)*-reset(?:-[a-z]+)*"
)
"""Headers that say when a limit is full again, such as x-ratelimit-reset-tokens."""

_NUMBER: Final = re.compile(r"-?\d{1,13}(?:\.\d{1,9})?")
_DURATION: Final = re.compile(
    r"(?=\d)(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m(?!s))?(?:(?P<s>\d{1,9}(?:\.\d{1,12})?)s)?(?:(?P<ms>\d{1,12}(?:\.\d{1,12})?)ms)?"
)
_ISO_DURATION: Final = re.compile(
    r"p(?=[\dt])(?:(?P<d>\d{1,6})d)?(?:t(?=\d)(?:(?P<h>\d{1,6})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,9}(?:[.,]\d{1,12})?)s)?)?"
)
"""A duration of ISO 8601, such as PT1M30S."""
_PHRASE: Final = re.compile(
    r"(?:try again|retry) (?:in|after) (?:about )?([\d.]{1,12}) ?(ms|milliseconds?|s|secs?|seconds?|m|minutes?)\b"
    r"|(?:try again|retry) (?:in|after) ((?:\d{1,6}[hms])*\d{1,6}(?:\.\d{1,12})?(?:ms|s|m|h))\b",
    re.IGNORECASE,
)
_OLDEST_TIMESTAMP: Final = 10**9
_OLDEST_MILLISECONDS: Final = 10**12


def read_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds from now until the upstream takes another attempt, at most `MAX_RETRY_AFTER_SECONDS`.

    Retry-After is a number or an HTTP date (RFC 9110, section 10.2.3); some providers send milliseconds, a duration
    such as 1m30s or PT1M30S, or a timestamp. Of several values in one header, the longest delay counts. A LiteLLM
    proxy has another name for the header. Returns None when there is no usable value.
    """
    for prefix in ("", _PROXY_PREFIX):
        for name in _DELAY_HEADERS:
            text = headers.get(prefix + name)
            if text is None:
                continue
            seconds = _parse_longest_delay(text, now)
            if seconds is not None:
                return min(seconds / 1000 if name.endswith("-ms") else seconds, MAX_RETRY_AFTER_SECONDS)
    return None


def read_reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds until a limit of the rate is full again, at most `MAX_RETRY_AFTER_SECONDS`.

    Providers send one header for each limit. Those of which nothing remains are waited for, or else the first one that
    is full again. Returns None when there is no usable value.
    """
    resets = list(_find_resets(headers, now))
    exhausted = [seconds for seconds, is_exhausted in resets if is_exhausted]
    if exhausted:
        return min(max(exhausted), MAX_RETRY_AFTER_SECONDS)
    return min((*(seconds for seconds, _ in resets), MAX_RETRY_AFTER_SECONDS)) if resets else None


def find_delay_phrase(message: str) -> str:
    """Returns the delay in a message such as "Please try again in 7.66s"; empty if it has none."""
    found = _PHRASE.search(message[:2000])
    if found is None:
        return ""
    if found[3]:
        return found[3].lower()
    unit = "ms" if found[2].lower().startswith(("ms", "milli")) else found[2][0].lower()
    return f"{found[1].rstrip('.')}{unit}"


def _find_resets(headers: Mapping[str, str], now: datetime) -> Iterator[tuple[float, bool]]:
    """Yields the delay of each limit, and whether nothing of that limit remains."""
    for name, text in headers.items():
        lower = name.lower()
        if not _RESET_HEADER.fullmatch(lower):
            continue
        seconds = _parse_delay(text.strip(), now)
        if seconds is not None and seconds >= 0:
            remaining = headers.get(lower.replace("reset", "remaining"), "")
            yield seconds, bool(re.fullmatch(r"\s*0+(\.0+)?\s*", remaining))


def _parse_longest_delay(text: str, now: datetime) -> float | None:
    """Returns the seconds that a header's value stands for; of a list of values, the most. None without a usable one.

    Gateways that add a header of their own make such a list. A date contains a comma itself.
    """
    for values in ([text], text.split(",")):
        delays = [_parse_delay(value.strip(), now) for value in values]
        usable = [seconds for seconds in delays if seconds is not None and seconds >= 0]
        if usable:
            return max(usable)
    return None


def _parse_delay(text: str, now: datetime) -> float | None:
    """Returns the seconds that a number, a duration, a timestamp or a date stands for; None for any other text."""
    if _NUMBER.fullmatch(text):
        return _convert_number(float(text), now)
    if duration := _DURATION.fullmatch(text.lower()):
        hours, minutes, seconds, milliseconds = (float(duration[unit] or 0) for unit in ("h", "m", "s", "ms"))
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    if iso := _ISO_DURATION.fullmatch(text.lower()):
        days, hours, minutes, seconds = (float((iso[unit] or "0").replace(",", ".")) for unit in ("d", "h", "m", "s"))
        return days * 86400 + hours * 3600 + minutes * 60 + seconds
    try:
        when = datetime.fromisoformat(text) if re.match(r"\d{4}-", text) else parsedate_to_datetime(text)
        when = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        return max(0.0, (when - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def _convert_number(number: float, now: datetime) -> float:
    """Converts a number of seconds, or a time in seconds or milliseconds since 1970."""
    if number < _OLDEST_TIMESTAMP:
        return number
    timestamp = number / 1000 if number >= _OLDEST_MILLISECONDS else number
    return max(0.0, timestamp - now.timestamp())
