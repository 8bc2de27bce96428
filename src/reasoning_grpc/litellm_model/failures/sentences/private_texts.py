"""`PrivateTexts`: everything of a call that no sentence about it may repeat, in a form that is quick to search."""

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from reasoning_grpc.domain import Deployment, Media, Reasoning, Refusal, Text, ToolCall, ToolResult
from reasoning_grpc.llm import ModelCall

MAX_CHARACTERS: Final = 1_000_000
"""A call with more text is not compared, so nothing may be said about it."""
SHORTEST_PASSAGE: Final = 12
"""So many letters and digits in a row that a sentence has in common with a private text are a repetition of it."""
LONGEST_EXACT: Final = 32
"""The most letters and digits of a text or name that is searched for as a whole."""
_SHORTEST_TEXT: Final = 4
_SHORTEST_NAME: Final = 3
_SAMPLE: Final = 8
_STEP: Final = SHORTEST_PASSAGE - _SAMPLE + 1
"""Every passage of the shortest length holds a sample that begins at a multiple of this."""
_MOST_LETTERS_FOR_PIECES: Final = 50_000
"""A longer text has nearly every short piece of a word in it."""
_NOT_LETTERS: Final = bytes(code for code in range(256) if not (chr(code).isascii() and chr(code).isalnum()))
_SPOKEN_KEYWORDS: Final = (
    "description",
    "title",
    "enum",
    "const",
    "default",
    "examples",
    "example",
    "pattern",
    "$comment",
)
"""The members of a JSON schema whose values are the words of its author."""


class PrivateTexts:
    """The words of a request and of the model's entry, as sequences of letters and digits."""

    def __init__(self, texts: Iterable[str], names: Iterable[str], known_names: Iterable[str] = ()) -> None:
        """`names` are private even where they are short; `known_names` are names of tools and their parameters."""
        texts = list(texts)
        self.is_complete = sum(map(len, texts)) <= MAX_CHARACTERS
        """Whether the texts are short enough to be compared."""
        sequences = [normalize(text) for text in texts] if self.is_complete else []
        private_names = [normalize(name) for name in names]
        letters = b"\n".join([*sequences, *private_names])
        self._letters = letters
        self._samples = frozenset(letters[at : at + _SAMPLE] for at in range(0, len(letters), _STEP))
        self._exact = frozenset(
            [text for text in sequences if _SHORTEST_TEXT <= len(text) < SHORTEST_PASSAGE]
            + [name for name in private_names if _SHORTEST_NAME <= len(name) <= LONGEST_EXACT]
        )
        self.known_names = frozenset(known_names)
        """Names that the request itself has given to tools and parameters."""

    @classmethod
    def collect(cls, call: ModelCall, deployment: Deployment, names: Iterable[str] = ()) -> "PrivateTexts":
        """Returns the private texts of a call to a deployment, with further names that belong to the request."""
        schemas = [_decode(text) for text in _list_schemas(call)]
        return cls(
            [*_list_texts(call), *(text for schema in schemas for text in _list_spoken_words(schema))],
            [*_list_names(call), *_list_names_of_deployment(deployment), *names],
            [*_list_known_names(call), *(name for schema in schemas for name in _list_properties(schema))],
        )

    def contains(self, sequence: bytes) -> bool:
        """Whether a sequence of letters and digits is part of a private text."""
        return sequence in self._letters

    def contains_passage(self, passage: bytes) -> bool:
        """Whether a passage of the shortest length is part of a private text; quick, also when it is not."""
        samples = (passage[at : at + _SAMPLE] for at in range(_STEP))
        return any(sample in self._samples for sample in samples) and passage in self._letters

    def contains_pieces(self, word: bytes, size: int) -> bool:
        """Whether any piece of this size of a word is part of a private text."""
        if len(self._letters) > _MOST_LETTERS_FOR_PIECES:
            return True
        return any(word[at : at + size] in self._letters for at in range(max(1, len(word) - size + 1)))

    def has_exactly(self, sequence: bytes) -> bool:
        """Whether a sequence of letters and digits is a whole private text or name."""
        return sequence in self._exact


def normalize(text: str) -> bytes:
    """Returns the letters and digits of a text in lower case, without accents and other alphabets."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    return plain.lower().encode("ascii", "ignore").translate(None, _NOT_LETTERS)


def _list_texts(call: ModelCall) -> Iterator[str]:
    for message in call.messages:
        for part in message.content:
            match part.content:
                case Text(text=text) | Reasoning(text=text) | Refusal(text=text):
                    yield text
                case ToolCall(arguments=text) | ToolResult(content=text):
                    yield text
                    yield from _list_strings(_decode(text))
                case Media(uri=uri):
                    yield uri
    for tool in call.tools:
        yield tool.description
    if call.response_format is not None:
        yield call.response_format.description
    yield from call.sampling.stop_sequences
    for value in call.provider_options.values():
        yield value
        yield from _list_strings(_decode(value))


def _list_names(call: ModelCall) -> Iterator[str]:
    """Yields the ids and names that stand in a conversation."""
    yield call.end_user
    for message in call.messages:
        yield message.name
        for part in message.content:
            match part.content:
                case ToolCall(id=name) | ToolResult(call_id=name) | Media(filename=name):
                    yield name
                case _:
                    pass


def _list_names_of_deployment(deployment: Deployment) -> Iterator[str]:
    """Yields what callers must not learn of a model's entry."""
    for model in (deployment.litellm_model, deployment.deciding_model):
        yield model
        yield from model.split("/")
    yield deployment.api_key.reveal()
    yield from deployment.headers.values()
    yield from (value for value in deployment.litellm_params.values() if isinstance(value, str))
    yield urlsplit(deployment.api_base).hostname or ""


def _list_schemas(call: ModelCall) -> Iterator[str]:
    for tool in call.tools:
        yield tool.parameters_schema
    if call.response_format is not None:
        yield call.response_format.schema


def _list_known_names(call: ModelCall) -> Iterator[str]:
    for tool in call.tools:
        yield tool.name
    if call.response_format is not None:
        yield call.response_format.name


def _decode(text: str) -> Any:
    """Returns the JSON value of a text; None when it is no JSON."""
    try:
        return msgspec.json.decode(text) if text else None
    except (ValueError, RecursionError):
        return None


def _walk(value: Any) -> Iterator[Any]:
    """Yields a JSON value and everything in it."""
    pending = [value]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, dict):
            pending += current.values()
        elif isinstance(current, list):
            pending += current


def _list_strings(value: Any) -> Iterator[str]:
    return (item for item in _walk(value) if isinstance(item, str))


def _list_spoken_words(schema: Any) -> Iterator[str]:
    for holder in _walk(schema):
        if isinstance(holder, dict):
            for keyword in _SPOKEN_KEYWORDS:
                yield from _list_strings(holder.get(keyword))


def _list_properties(schema: Any) -> Iterator[str]:
    for holder in _walk(schema):
        properties = holder.get("properties") if isinstance(holder, dict) else None
        if isinstance(properties, dict):
            yield from properties
