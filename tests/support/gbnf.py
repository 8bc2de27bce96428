"""llama.cpp's grammars: reads one, and writes random texts that it accepts."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_TOKEN: Final = re.compile(
    r'\s+|"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|\{[0-9]*,?[0-9]*\}|[A-Za-z0-9-]+|[()|*+?]', re.DOTALL
)
_RULE: Final = re.compile(r"^([A-Za-z0-9-]+) ::= (.*?)(?=^[A-Za-z0-9-]+ ::= |\Z)", re.DOTALL | re.MULTILINE)
_ESCAPE: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_TRICKY: Final = '"\\/{}[]:,\n\t\x00\x1f\x7f \u00e9\u2028\ud7ff\U0001f600-+.0eEu'
"""Characters that break JSON where a grammar lets them through."""
_MANY: Final = 4
_TOO_MANY: Final = 100
_ENDLESS: Final = 1_000_000


@dataclass(slots=True)
class _Class:
    """A class of characters."""

    ranges: list[tuple[int, int]]
    is_negated: bool

    def write(self, chance: random.Random) -> str:
        """Writes one of its characters, often the first or the last of a range, or one that breaks JSON."""
        tricky = [each for each in _TRICKY if self._has(each)]
        if tricky and chance.random() < 0.5:
            return chance.choice(tricky)
        if self.is_negated:
            return next(each for each in iter(lambda: chr(chance.randrange(0x110000)), "") if self._has(each))
        first, last = chance.choice(self.ranges)
        return chr(chance.choice([first, last, chance.randint(first, last)]))

    def _has(self, character: str) -> bool:
        is_listed = any(first <= ord(character) <= last for first, last in self.ranges)
        return is_listed is not self.is_negated and not "\ud800" <= character <= "\udfff"


@dataclass(slots=True)
class _Repeated:
    """Something that is repeated."""

    item: "_Item"
    least: int
    most: int | None


@dataclass(slots=True)
class _Choice:
    """Alternatives, each of them a sequence."""

    sequences: "list[list[_Item]]" = field(default_factory=lambda: [[]])


@dataclass(slots=True)
class _Reference:
    """The name of a rule."""

    name: str


_Item = str | _Class | _Repeated | _Choice | _Reference


class Grammar:
    """A grammar in llama.cpp's notation."""

    def __init__(self, text: str) -> None:
        self._rules = {name: _read_rule(body) for name, body in _RULE.findall(text)}
        self._depths = dict.fromkeys(self._rules, _ENDLESS)
        """How deeply rules are nested at least in what a rule stands for."""
        for _ in self._rules:
            self._depths = {name: self._find_depth(rule) for name, rule in self._rules.items()}

    def has_texts(self, rule: str) -> bool:
        """Returns whether a rule accepts any text: one that always contains itself accepts none."""
        return self._depths[rule] < _ENDLESS

    def write(self, rule: str, chance: random.Random, *, max_depth: int = 12) -> str:
        """Writes a text that a rule accepts; from this depth on, the shortest way is taken."""
        return "".join(self._write(_Reference(rule), chance, max_depth))

    def _write(self, item: _Item, chance: random.Random, depth: int) -> Iterator[str]:
        match item:
            case str():
                yield item
            case _Class():
                yield item.write(chance)
            case _Reference(name=name):
                yield from self._write(self._rules[name], chance, depth - 1)
            case _Repeated(item=inner):
                for _ in range(self._choose_count(item, chance, depth)):
                    yield from self._write(inner, chance, depth)
            case _Choice(sequences=sequences):
                depths = [max(map(self._find_depth, each), default=0) for each in sequences]
                highest = _ENDLESS - 1 if depth > 0 else min(depths)
                chosen = chance.choice([each for each, own in zip(sequences, depths, strict=True) if own <= highest])
                for each in chosen:
                    yield from self._write(each, chance, depth)

    def _choose_count(self, repeated: _Repeated, chance: random.Random, depth: int) -> int:
        """Chooses how often something is repeated: often the least or the most times."""
        least, most = repeated.least, repeated.most
        if depth <= 0 or self._find_depth(repeated.item) >= _ENDLESS:
            return least
        highest = least + _MANY if most is None else min(most, least + _MANY)
        ends = [least, highest] if most is None or most > _TOO_MANY else [least, most]
        return chance.choice([*ends, chance.randint(least, highest)])

    def _find_depth(self, item: _Item) -> int:
        match item:
            case _Reference(name=name):
                return min(_ENDLESS, 1 + self._depths[name])
            case _Repeated(item=inner, least=least):
                return self._find_depth(inner) if least else 0
            case _Choice(sequences=sequences):
                return min(max(map(self._find_depth, each), default=0) for each in sequences)
            case _:
                return 0


def _read_rule(body: str) -> _Choice:
    tokens = _TOKEN.findall(body)
    assert "".join(tokens) == body
    choice, rest = _read_choice([each for each in tokens if not each.isspace()])
    assert not rest
    return choice


def _read_choice(tokens: list[str]) -> tuple[_Choice, list[str]]:
    """Reads alternatives up to the end or to a closing parenthesis, and returns the tokens behind them."""
    choice = _Choice()
    while tokens and tokens[0] != ")":
        token, *tokens = tokens
        sequence = choice.sequences[-1]
        if token == "|":
            choice.sequences.append([])
        elif token == "(":
            inner, tokens = _read_choice(tokens)
            assert tokens.pop(0) == ")"
            sequence.append(inner)
        elif token in {"*", "+", "?"}:
            sequence.append(_Repeated(sequence.pop(), int(token == "+"), 1 if token == "?" else None))
        elif token[0] == "{":
            least, comma, most = token[1:-1].partition(",")
            highest = int(most) if most else None if comma else int(least)
            sequence.append(_Repeated(sequence.pop(), int(least or 0), highest))
        elif token[0] == '"':
            sequence.append(_unescape(token[1:-1]))
        else:
            sequence.append(_read_class(token[1:-1]) if token[0] == "[" else _Reference(token))
    return choice, tokens


def _read_class(text: str) -> _Class:
    is_negated = text.startswith("^")
    characters = re.findall(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)|.", text[is_negated:], re.DOTALL)
    ranges = []
    while characters:
        first = ord(_unescape(characters.pop(0)))
        last = first
        if len(characters) > 1 and characters[0] == "-":
            last = ord(_unescape(characters[1]))
            del characters[:2]
        ranges.append((first, last))
    return _Class(ranges, is_negated)


def _unescape(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        escape = match.group(1)
        return chr(int(escape[1:], 16)) if len(escape) > 1 else _LETTERS.get(escape, escape)

    return _ESCAPE.sub(replace, text)
