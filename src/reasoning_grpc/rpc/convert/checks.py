"""`Checks`: collects what is wrong with a request, to report all of it at once."""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, RequestTooLarge, UnsupportedParameter

MAX_JSON_DEPTH: Final = 64
_MOST_VIOLATIONS: Final = 20
_LONGEST_FIELD: Final = 60


@dataclass(slots=True)
class Checks:
    """The violations found so far, by kind."""

    _invalid: list[FieldViolation] = field(default_factory=list)
    _too_large: list[FieldViolation] = field(default_factory=list)
    _unsupported: list[FieldViolation] = field(default_factory=list)

    def invalid(self, path: str, description: str) -> None:
        """A field is out of range, missing or contradictory."""
        self._invalid.append(FieldViolation(_shown(path), description))

    def too_large(self, path: str, description: str) -> None:
        """A field is over one of our caps."""
        self._too_large.append(FieldViolation(_shown(path), description))

    def unsupported(self, path: str, description: str) -> None:
        """A field asks for what this build does not serve."""
        self._unsupported.append(FieldViolation(_shown(path), description))

    def finish(self) -> None:
        """Raises InvalidRequest, else RequestTooLarge, else UnsupportedParameter, if anything was found.

        The first names what is too large as well. A status has room for the first few.
        """
        if self._invalid:
            raise InvalidRequest(violations=tuple((self._invalid + self._too_large)[:_MOST_VIOLATIONS]))
        if self._too_large:
            raise RequestTooLarge(violations=tuple(self._too_large[:_MOST_VIOLATIONS]))
        if self._unsupported:
            raise UnsupportedParameter(violations=tuple(self._unsupported[:_MOST_VIOLATIONS]))

    def count(self, path: str, count: int, most: int) -> bool:
        """Whether a list is within its cap."""
        if count > most:
            self.too_large(path, f"It has {count} entries; at most {most} are taken.")
        return count <= most

    def number(
        self, path: str, value: float, minimum: float, maximum: float = math.inf, *, above_minimum: bool = False
    ) -> None:
        """A number must be in its range."""
        inside = minimum < value <= maximum if above_minimum else minimum <= value <= maximum
        if not inside:  # NaN is inside of nothing
            low = f"above {minimum:g}" if above_minimum else f"from {minimum:g}"
            shown = f"at least {minimum:g}" if maximum == math.inf else f"{low} to {maximum:g}"
            self.invalid(path, f"It must be {shown}.")

    def text(self, path: str, value: str, maximum: int, *, required: bool = False) -> None:
        """A text must not be too long, nor empty where it is required."""
        if required and not value:
            self.invalid(path, "It is required.")
        if len(value) > maximum:
            self.invalid(path, f"It must have at most {maximum} characters.")

    def pattern(self, path: str, value: str, pattern: re.Pattern[str], description: str) -> None:
        """A text must match."""
        if not pattern.fullmatch(value):
            self.invalid(path, description)

    def json_text(self, path: str, text: str, *, want_object: bool) -> None:
        """A text must be JSON, of an object where that is wanted, and not nested too deeply."""
        if _depth(text) > MAX_JSON_DEPTH:
            self.too_large(path, f"It is nested more than {MAX_JSON_DEPTH} levels deep.")
            return
        try:
            value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
            json.dumps(value, ensure_ascii=False).encode()
        except ValueError:  # a half of a surrogate pair among them, which cannot be sent on
            self.invalid(path, "It must be JSON text.")
            return
        if want_object and not isinstance(value, dict):
            self.invalid(path, "It must be the JSON text of an object.")


def _shown(path: str) -> str:
    """The path, with names of the caller's own in it cut to a length that leaves room in a status."""
    printable = "".join(character if character.isprintable() else "?" for character in path)
    return printable if len(printable) <= _LONGEST_FIELD else printable[: _LONGEST_FIELD - 3] + "..."


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _depth(text: str) -> int:
    """How deeply JSON text is nested, found without parsing it: the parser would recurse."""
    depth = deepest = 0
    # A string that does not end takes all the rest: tried again from each of its quotes, it would take for ever.
    for token in re.finditer(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', text, re.DOTALL):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest
