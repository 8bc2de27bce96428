"""`redact_sentence`: leaves of a provider's sentence only what cannot be private.

What stays is decided by allowing: words that describe faults, names of parameters, small numbers, and other plain words
that the request does not contain. Everything else, and every passage that repeats the request, becomes a mark.
"""

import html
import re
from typing import Final

from reasoning_grpc.litellm_model.failures.sentences.private_texts import (
    LONGEST_EXACT,
    SHORTEST_PASSAGE,
    PrivateTexts,
    normalize,
)
from reasoning_grpc.litellm_model.failures.sentences.words import BRANDS, is_known_name, is_known_word
from reasoning_grpc.litellm_model.request import FIELD_OF_PARAMETER

MARK: Final = "[...]"
"""What stands for text that was left out."""
LONGEST_SENTENCE: Final = 300
_LONGEST_READ: Final = 600
_SHORTEST_PIECE: Final = 5
"""Letters in common with the request by which a word that is not on the list counts as the request's."""
_LEAST_WORDS: Final = 2
_MOST_DIGITS: Final = 9

_PLAIN: Final = (
    dict.fromkeys((0x2018, 0x2019, 0x201A, 0x2039, 0x203A, 0xB4), "'")
    | dict.fromkeys((0x201C, 0x201D, 0x201E, 0xAB, 0xBB), '"')
    | dict.fromkeys((0x2013, 0x2014, 0x2212), "-")
    | {0x2026: "...", 0x2264: "<=", 0x2265: ">=", 0xD7: "x"}
    | dict.fromkeys((0xAD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
)
"""Plain forms of typographic marks; characters of no width vanish."""
_ESCAPES: Final = re.compile(r"\\+(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[nrtbfv]|[\"'`\\/])")
_LOCATION: Final = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://\S*|\bwww\.\S+|\S*@\S+|(?<![^\s('\"`])[~.]{0,2}/\w\S*|\b[A-Za-z]:\\\S*"
)
"""URLs, addresses of e-mail, and paths."""
_DUMP: Final = re.compile(r"\{.*\}|\{.*", re.DOTALL)
"""An object that was printed into a sentence."""
_QUOTED: Final = re.compile(
    r"(?<![A-Za-z0-9])'(?=\S)(?P<single>.*?\S)'(?![A-Za-z0-9])|\"(?P<double>.+?)\"|`+(?P<code>[^`]+)`+", re.DOTALL
)
_UNCLOSED: Final = re.compile(r"(?:(?<![A-Za-z0-9])'(?=[A-Za-z0-9])|[\"`]).*$", re.DOTALL)
"""A quotation that the provider has cut off."""
_TOKEN: Final = re.compile(
    r"[A-Za-z]+'(?:t|s|re|ve|d|ll|m)(?![A-Za-z])|\d{1,3}(?:,\d{3})+(?![\w,])|[^\s,;=(){}\"'`<>|:!?]+|[^\s]"
)
_TRIM: Final = re.compile(r"([\[*.~&+\\-]*)(.*?)([\].*~&+/\\-]*)", re.DOTALL)
_NUMBER: Final = re.compile(
    r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:%|x\d{1,5}|[kmgt]?i?b|ms|s|px|k|m|st|nd|rd|th)?", re.IGNORECASE | re.ASCII
)
_PLAIN_WORD: Final = re.compile(r"[a-z]*[aeiouy][a-z]*")
_STANDS_ALONE: Final = re.compile(r"[.,;:!?)]*(?:\s|$)")
"""What follows a word that is no part of a longer name."""
_NAMED_AFTER: Final = frozenset(
    {"organization", "organisation", "org", "project", "account", "tenant", "team", "workspace"}
    | {"deployment", "user", "customer", "id", "named", "name", "called", "key", "secret", "token"}
    | {"password", "host", "server", "region", "resource", "engine", "company", "model", "bearer", "username"}
    | {"login", "client", "owner", "member", "group", "node", "cluster", "namespace", "subscription", "domain", "by"}
)
"""Words that a name follows."""
_REPEATED_MARK: Final = re.compile(r"\[\.\.\.\](?:[^A-Za-z0-9'\"`]*\[\.\.\.\])+")


class _Token:
    """A part of a sentence without blanks, and whether it may stay."""

    __slots__ = ("core", "is_kept", "is_name", "letters", "may_be_plain", "space", "text")

    def __init__(self, text: str, before: str = "") -> None:
        """`before` are the two characters before it."""
        self.text = text
        self.space = " " if before.endswith(" ") else ""
        self.may_be_plain = not before or (before.endswith(" ") and before[0] not in ":=>")
        """Whether it can be a word of the sentence, and no value that something else introduces."""
        match = _TRIM.fullmatch(text)
        core = text if match is None else match[2]
        if core.count("[") > core.count("]"):
            core += "]"
        self.core = core
        self.letters = normalize(text)
        self.is_kept = True
        self.is_name = False

    @property
    def shown(self) -> str:
        """The token, or a mark in its place, after its blank; a full stop stays."""
        return self.space + (self.text if self.is_kept else MARK + "." * self.text.endswith("."))


def redact_sentence(text: str, private: PrivateTexts) -> str:
    """Returns what of a sentence is safe to show: printable ASCII in one line, at most `LONGEST_SENTENCE` characters.

    It is empty when hardly anything would be left, and when the request is too long to be compared with.
    """
    if not private.is_complete:
        return ""
    tokens = _read_tokens(_make_plain(text[:_LONGEST_READ]), private)
    _hide_ports(tokens)
    _hide_long_numbers(tokens)
    _hide_repetitions(tokens, private)
    if sum(token.is_kept and any(map(str.isalpha, token.core)) for token in tokens) < _LEAST_WORDS:
        return ""
    return _shorten(_REPEATED_MARK.sub(MARK, "".join(token.shown for token in tokens).strip()))


def _read_tokens(plain: str, private: PrivateTexts) -> list[_Token]:
    """Returns the tokens of a line, with those kept that are safe whatever the rest of the request holds."""
    hidden = _find_hidden_spans(plain, private)
    tokens: list[_Token] = []
    before = ""
    for match in _TOKEN.finditer(plain):
        start, end = match.span()
        token = _Token(match[0], plain[max(0, start - 2) : start])
        if any(first < end and start < last for first, last in hidden):
            token.is_kept = False
        elif not _is_safe(token, private):
            is_alone = token.may_be_plain and _STANDS_ALONE.match(plain, end) is not None
            token.is_kept = is_alone and before not in _NAMED_AFTER and _is_foreign_word(token.core, private)
        before = token.core.lower() if token.letters else before
        tokens.append(token)
    return tokens


def _make_plain(text: str) -> str:
    """Returns the text in one line, with its escapes decoded and its quotation marks made plain."""
    text = _ESCAPES.sub(_decode_escape, html.unescape(text)).translate(_PLAIN)
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _decode_escape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] in "ux" and len(escape) > 1:
        code = int(escape[1:], 16)
        return " " if 0xD800 <= code < 0xE000 else chr(code)
    return escape if escape in "\"'`/" else " "


def _find_hidden_spans(text: str, private: PrivateTexts) -> list[tuple[int, int]]:
    """Returns the places of URLs, printed objects, and quotations of anything but names."""
    spans = [match.span() for pattern in (_DUMP, _LOCATION) for match in pattern.finditer(text)]
    end = 0
    for match in _QUOTED.finditer(text):
        quoted = match["single"] or match["double"] or match["code"]
        if not _is_quotable(quoted, private):
            spans.append((match.start() + 1, match.end() - 1))
        end = match.end()
    if unclosed := _UNCLOSED.search(text, end):
        spans.append((unclosed.start() + 1, unclosed.end()))
    return spans


def _is_quotable(quoted: str, private: PrivateTexts) -> bool:
    """Whether a quotation is a name, a number or a known word."""
    return bool(_NUMBER.fullmatch(quoted)) or is_known_word(quoted) or is_known_name(quoted, private.known_names)


def _is_safe(token: _Token, private: PrivateTexts) -> bool:
    """Whether a token may stay, whatever stands around it."""
    core = token.core
    if not core.isascii():
        return False
    if not any(map(str.isalnum, core)):
        return len(token.text) <= 3
    if _NUMBER.fullmatch(core):
        digits = re.sub(r"\D", "", core)
        return len(digits) <= _MOST_DIGITS and not (len(digits) >= 3 and private.contains(digits.encode()))
    if is_known_word(core) or (len(core) == 1 and core.isalpha()):
        return True
    if is_known_name(core, private.known_names):
        token.is_name = core in private.known_names or core in FIELD_OF_PARAMETER
        return True
    return False


def _is_foreign_word(word: str, private: PrivateTexts) -> bool:
    """Whether a word is plain English, as far as its form says, and no part of it comes from the request."""
    if not 3 <= len(word) <= 14 or not _PLAIN_WORD.fullmatch(word) or word in BRANDS:
        return False
    letters = word.encode()
    return not private.contains_pieces(letters, min(len(letters), _SHORTEST_PIECE))


def _hide_ports(tokens: list[_Token]) -> None:
    """Hides the number after a colon that follows a hidden token, which is the port of a host."""
    for host, colon, port in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if colon.text == ":" and not host.is_kept and port.letters.isdigit():
            port.is_kept = False


def _hide_long_numbers(tokens: list[_Token]) -> None:
    """Hides numbers that stand beside each other and have together more digits than a limit or a count."""
    group: list[_Token] = []
    for token in [*tokens, _Token("end")]:
        if token.letters.isdigit():
            group.append(token)
        elif token.letters:
            if sum(len(number.letters) for number in group) > _MOST_DIGITS and len(group) > 2:
                for number in group:
                    number.is_kept = False
            group = []


def _hide_repetitions(tokens: list[_Token], private: PrivateTexts) -> None:
    """Hides each passage that stands in the request as well, whatever blanks and marks are between its words."""
    spoken = [token for token in tokens if token.letters]
    owners = [index for index, token in enumerate(spoken) for _ in token.letters]
    letters = b"".join(token.letters for token in spoken)
    for start in range(len(letters) - SHORTEST_PASSAGE + 1):
        first, last = owners[start], owners[start + SHORTEST_PASSAGE - 1]
        is_one_name = first == last and spoken[first].is_name
        if not is_one_name and private.contains_passage(letters[start : start + SHORTEST_PASSAGE]):
            _hide(spoken[first : last + 1])
    for first in range(len(spoken)):
        sequence = b""
        for last in range(first, len(spoken)):
            sequence += spoken[last].letters
            if len(sequence) > LONGEST_EXACT:
                break
            if private.has_exactly(sequence):
                _hide(spoken[first : last + 1])


def _hide(tokens: list[_Token]) -> None:
    for token in tokens:
        token.is_kept = False


def _shorten(text: str) -> str:
    """Returns the text, or its beginning up to the end of a word."""
    if len(text) <= LONGEST_SENTENCE:
        return text
    return text[: LONGEST_SENTENCE - 4].rsplit(" ", 1)[0].rstrip(" ,;:-") + " ..."
