"""`Checks`: collects the violations of a request, to report all of them at once. `Caps`: how large it may be."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from msgspec import Struct, field

from reasoning_grpc.domain import Continuation, count_bytes
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, RequestTooLarge

E = TypeVar("E")

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Names of tools and schemas."""
NAME_RULE: Final = "It must be 1 to 64 of letters, digits, underscore and dash."
MAX_MODEL_NAME_CHARACTERS: Final = 128
_MAX_VIOLATIONS: Final = 20
_MAX_FIELD_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Our own limits on a request."""

    messages: int = 1000
    parts: int = 10_000
    """Parts of all messages together."""
    tools: int = 128
    stop_sequences: int = 16
    labels: int = 32
    json_bytes: int = 1024 * 1024
    """Bytes of all schemas and provider options together."""
    json_depth: int = 64
    media_bytes: int = 16 * 1024 * 1024
    """Bytes of all images, sounds and documents together."""
    state_bytes: int = 1024 * 1024
    """Bytes of the state of a paused run."""


class Checks(Struct):
    """The violations found so far, by kind."""

    caps: Caps = Caps()
    _invalid: list[FieldViolation] = field(default_factory=list)
    _too_large: list[FieldViolation] = field(default_factory=list)
    _json_bytes: int = 0
    _media_bytes: int = 0
    paused_run: Continuation | None = None
    """The last paused run of the conversation."""

    def report_invalid(self, path: str, description: str) -> None:
        """Reports a field that is out of range, missing or contradictory."""
        if len(self._invalid) < _MAX_VIOLATIONS:
            self._invalid.append(FieldViolation(_printable_path(path), description))

    def report_too_large(self, path: str, description: str) -> None:
        """Reports a field that is over one of our limits."""
        if len(self._too_large) < _MAX_VIOLATIONS:
            self._too_large.append(FieldViolation(_printable_path(path), description))

    def finish(self) -> None:
        """Raises InvalidRequest, else RequestTooLarge, if anything was found.

        InvalidRequest also names what is too large. Only the first violations are kept, because a status is small.
        """
        if self._invalid:
            raise InvalidRequest(violations=tuple((self._invalid + self._too_large)[:_MAX_VIOLATIONS]))
        if self._too_large:
            raise RequestTooLarge(violations=tuple(self._too_large[:_MAX_VIOLATIONS]))

    def check_count(self, path: str, count: int, maximum: int) -> bool:
        """Checks the length of a list, and returns whether it is within the limit."""
        if count > maximum:
            self.report_too_large(path, f"It has {count} entries; at most {maximum} are accepted.")
        return count <= maximum

    def check_number(
        self, path: str, value: float, minimum: float, maximum: float = math.inf, *, above_minimum: bool = False
    ) -> None:
        """Checks that a number is in its range."""
        inside = minimum < value <= maximum if above_minimum else minimum <= value <= maximum
        if not inside:  # NaN is within no range
            low = f"above {minimum:g}" if above_minimum else f"from {minimum:g}"
            allowed = f"at least {minimum:g}" if maximum == math.inf else f"{low} to {maximum:g}"
            self.report_invalid(path, f"It must be {allowed}.")

    def check_enum(self, path: str, number: int, known: Mapping[int, E]) -> E | None:
        """Returns the value of this number; reports it and returns None when it is unspecified or unknown."""
        value = known.get(number)
        if value is None:
            self.report_invalid(path, "It is not a known value." if number else "It must be specified.")
        return value

    def check_text(self, path: str, value: str, maximum: int, *, required: bool = False) -> None:
        """Checks that a text is not too long, and not empty where it is required."""
        if required and not value:
            self.report_invalid(path, "It is required.")
        if len(value) > maximum:
            self.report_invalid(path, f"It must have at most {maximum} characters.")

    def check_pattern(self, path: str, value: str, pattern: re.Pattern[str], description: str) -> None:
        """Checks that a text matches the pattern."""
        if not pattern.fullmatch(value):
            self.report_invalid(path, description)

    def check_media_size(self, path: str, size: int) -> None:
        """Checks that the bytes of all media so far, and of this one, are within the limit."""
        self._media_bytes += size
        if self._media_bytes > self.caps.media_bytes:
            most = self.caps.media_bytes
            self.report_too_large(path, f"With it, the media of the request have more than {most} bytes.")

    def record_paused_run(self, state: bytes, message: int, part: int) -> None:
        """Checks the state of a paused run, and records that it is the last one so far."""
        path = f"messages[{message}].content[{part}].paused_run"
        if not state:
            self.report_invalid(f"{path}.state", "It is required.")
        if len(state) > self.caps.state_bytes:
            self.report_too_large(f"{path}.state", f"It has more than {self.caps.state_bytes} bytes.")
        if self.paused_run is not None and self.paused_run.message == message:
            self.report_invalid(path, "A message has at most one paused run.")
        self.paused_run = Continuation(state, message, part)

    def check_json(self, path: str, text: str, *, want_object: bool) -> Any:
        """Checks that a text is JSON, not nested too deeply, and an object where `want_object`.

        Returns its value, or None where the text is not what it must be. No text is parsed that is over the limits.
        """
        self._json_bytes += count_bytes(text)
        if self._json_bytes > self.caps.json_bytes:
            most = self.caps.json_bytes
            self.report_too_large(path, f"With it, the JSON of the request has more than {most} bytes.")
            return None
        if _depth(text) > self.caps.json_depth:
            self.report_too_large(path, f"It is nested more than {self.caps.json_depth} levels deep.")
            return None
        try:
            value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
            json.dumps(value, ensure_ascii=False).encode()
        except ValueError:  # this includes half a surrogate pair, which cannot be sent on
            self.report_invalid(path, "It must be JSON text.")
            return None
        if want_object and not isinstance(value, dict):
            self.report_invalid(path, "It must be the JSON text of an object.")
            return None
        return value


def _printable_path(path: str) -> str:
    """Returns the path in printable characters. It may contain names from the caller, so its length is limited."""
    printable = "".join(character if character.isprintable() else "?" for character in path)
    return printable if len(printable) <= _MAX_FIELD_CHARACTERS else printable[: _MAX_FIELD_CHARACTERS - 3] + "..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _depth(text: str) -> int:
    """Returns how deeply JSON text is nested. It does not parse the text, because the parser would recurse."""
    depth = deepest = 0
    # A string without an end takes all the rest: a search that began again at each quote would take very long.
    for token in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest
