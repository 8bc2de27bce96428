"""`JsonProgress`: knows whether a JSON value that arrives in parts is whole, and reads each part only once."""

import re
from dataclasses import dataclass
from typing import Final

_MARKS: Final = re.compile(r'["{}\[\]]')
_STRING_END: Final = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)
_SCALAR: Final = re.compile(r'\s*(null|true|false|-?\d[\d.eE+-]*|"(?:[^"\\]|\\.)*+")\s*', re.DOTALL)


@dataclass(slots=True)
class JsonProgress:
    """Counts the brackets of a JSON value. What stands between them is not checked."""

    has_begun: bool = False
    """Whether anything but blanks has arrived."""
    is_whole: bool = False
    """Whether the brackets of the value are closed; a value without brackets is whole when it fills one part."""
    _depth: int = 0
    _is_in_string: bool = False
    _ends_in_escape: bool = False

    def read(self, part: str) -> None:
        """Reads the next part of the value."""
        if not self.has_begun and part.strip():
            self.has_begun = True
            self.is_whole = bool(_SCALAR.fullmatch(part))
            if self.is_whole:
                return
        position = 0
        while position < len(part):
            position = self._skip_string(part, position) if self._is_in_string else self._find_mark(part, position)

    def _find_mark(self, part: str, position: int) -> int:
        found = _MARKS.search(part, position)
        if found is None:
            return len(part)
        match found[0]:
            case '"':
                self._is_in_string = True
            case "{" | "[":
                self._depth += 1
            case _:
                self._depth -= 1
                self.is_whole = self.is_whole or self._depth <= 0
        return found.end()

    def _skip_string(self, part: str, position: int) -> int:
        """Returns the position after the end of a string, or after the part."""
        if self._ends_in_escape:
            self._ends_in_escape = False
            position += 1
        end = _STRING_END.match(part, position)
        if end is not None:
            self._is_in_string = False
            return end.end()
        rest = part[position:]
        self._ends_in_escape = (len(rest) - len(rest.rstrip("\\"))) % 2 == 1
        return len(part)
