"""Checks whether llama.cpp holds answers to a regular expression.

llama.cpp writes a pattern into its grammar almost as it is, and takes any string where it cannot. The patterns that
pass here mean the same in both: literal text, classes of characters, groups, alternatives and repetitions, from `^` to
`$`. No match of them needs an escape in JSON.
"""

from typing import Final

_LITERALS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _,:;=@#%&/<>~!'-")
_IN_CLASSES: Final = (_LITERALS - {"-"}) | frozenset(".+*?(){}|$")
_ESCAPED: Final = frozenset("^$.[]()|{}*+?")
"""Characters that lose their special meaning behind a backslash."""
_REPETITIONS: Final = frozenset("*+?{")
_MAX_DEPTH: Final = 50
_MAX_SIZE: Final = 1000
"""The most characters that a pattern may have when its counted repetitions are written out."""


class PatternNotHeld(Exception):
    """Answers cannot be held to the pattern; the message says why, as a sentence."""


class InvalidPattern(PatternNotHeld):
    """llama.cpp refuses the pattern, because it is no regular expression."""


def check_pattern(pattern: str) -> None:
    """Raises PatternNotHeld for a pattern to which answers cannot be held."""
    if len(pattern) < 2 or pattern[0] != "^" or pattern[-1] != "$":
        raise PatternNotHeld("It must begin with ^ and end with $.")
    reader = _PatternReader(pattern[1:-1])
    reader.read_alternatives(depth=0)
    if reader.next_character:
        raise InvalidPattern("Its parentheses are not balanced.")


class _PatternReader:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    @property
    def next_character(self) -> str:
        """The character at which the reader stands; empty at the end."""
        return self._text[self._at : self._at + 1]

    def read_alternatives(self, depth: int) -> tuple[int, bool]:
        """Reads to the end of a group or of the pattern.

        Returns how many characters it stands for, and whether it may be empty.
        """
        if depth > _MAX_DEPTH:
            raise PatternNotHeld("Its groups are nested too deeply.")
        size, may_be_empty = 0, False
        while True:
            sequence_size, sequence_may_be_empty = self._read_sequence(depth)
            size, may_be_empty = size + sequence_size, may_be_empty or sequence_may_be_empty
            if size > _MAX_SIZE:
                raise PatternNotHeld("It is too long.")
            if self.next_character != "|":
                return size, may_be_empty
            self._at += 1

    def _read_sequence(self, depth: int) -> tuple[int, bool]:
        begin, size, may_be_empty = self._at, 0, True
        while self.next_character not in {"", "|", ")"}:
            is_escape = self.next_character == "\\"
            atom_size, atom_may_be_empty = self._read_atom(depth)
            if self.next_character and self.next_character in _REPETITIONS:
                if is_escape or atom_may_be_empty:
                    raise PatternNotHeld("It repeats an escape, or what may be empty.")
                times, atom_may_be_empty = self._read_repetition()
                atom_size *= times
            size, may_be_empty = size + atom_size, may_be_empty and atom_may_be_empty
            if size > _MAX_SIZE:
                raise PatternNotHeld("It is too long.")
        if begin == self._at:
            raise PatternNotHeld("It has an empty alternative.")
        return size, may_be_empty

    def _read_atom(self, depth: int) -> tuple[int, bool]:
        character = self.next_character
        self._at += 1
        if character == "(":
            return self._read_group(depth)
        if character == "[":
            self._read_class()
        elif character == "\\":
            self._read_escape()
        elif character in _REPETITIONS:
            raise InvalidPattern("It repeats nothing.")
        elif character not in _LITERALS:
            raise PatternNotHeld(f"It has {character!a} in a place where the model cannot be held to it.")
        return 1, False

    def _read_group(self, depth: int) -> tuple[int, bool]:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self.next_character == "?":
            raise PatternNotHeld("It has a group of a special kind.")
        group = self.read_alternatives(depth + 1)
        if self.next_character != ")":
            raise InvalidPattern("Its parentheses are not balanced.")
        self._at += 1
        return group

    def _read_escape(self) -> None:
        if not self.next_character:
            raise InvalidPattern("It ends with a backslash.")
        if self.next_character not in _ESCAPED:
            raise PatternNotHeld(f"It has the escape {self._text[self._at - 1 : self._at + 1]!a}.")
        self._at += 1

    def _read_class(self) -> None:
        end = self._text.find("]", self._at)
        if end < 0:
            raise InvalidPattern("One of its classes of characters has no end.")
        members, at = self._text[self._at : end], 0
        while at < len(members):
            first, last = members[at], members[at + 2 : at + 3]
            if members[at + 1 : at + 2] == "-" and last:
                if not _is_range(first, last):
                    raise PatternNotHeld("One of its classes has a range of other characters than letters or digits.")
                at += 3
            elif first in _IN_CLASSES or (first == "-" and at == len(members) - 1):
                at += 1
            else:
                raise PatternNotHeld(f"One of its classes has {first!a}.")
        if not members:
            raise PatternNotHeld("It has an empty class of characters.")
        self._at = end + 1

    def _read_repetition(self) -> tuple[int, bool]:
        """Reads a repetition. Returns how often it repeats at least to be written out, and whether 0 times will do."""
        character = self.next_character
        self._at += 1
        least, most = (0 if character in "*?" else 1), 1
        if character == "{":
            end = self._text.find("}", self._at)
            least, most = _read_counts(self._text[self._at : end] if end >= 0 else "")
            self._at = end + 1
        if self.next_character and self.next_character in _REPETITIONS:
            raise PatternNotHeld("It has a repetition of a special kind.")
        return most, least == 0


def _is_range(first: str, last: str) -> bool:
    """Whether a range has only digits, only small or only capital letters of English."""
    both = first + last
    is_letters = both.isalpha() and (both.islower() or both.isupper())
    return first <= last and both.isascii() and (both.isdigit() or is_letters)


def _read_counts(counts: str) -> tuple[int, int]:
    """Reads `n`, `n,` or `n,m`, and returns the least count, and the most that is written out."""
    first, comma, last = counts.partition(",")
    numbers = [each for each in (first, last) if each]
    if not first or not all(each.isascii() and each.isdecimal() and len(each) < 5 for each in numbers):
        raise PatternNotHeld("It has braces that are no count.")
    least = int(first)
    most = int(last) if last else max(least, int(bool(comma)))
    if not least <= most or not most:
        raise PatternNotHeld("It has a count that is 0, or counts in the wrong order.")
    return least, most
