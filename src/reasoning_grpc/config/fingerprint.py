"""`compute_fingerprint`: a short text that two configurations share exactly when they say the same."""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from reasoning_grpc.domain import Secret

_SHOWN_DIGITS: Final = 12


def compute_fingerprint(config: Any) -> str:
    """Returns the fingerprint of a configuration, which may be logged: the secrets in it play no part."""
    return _hash(config, shows_secrets=False).hex()[:_SHOWN_DIGITS]


def is_same(one: Any, other: Any) -> bool:
    """Whether two parts of a configuration say the same, down to their secrets, which have no equality of their own."""
    return hmac.compare_digest(_hash(one, shows_secrets=True), _hash(other, shows_secrets=True))


def _hash(value: Any, *, shows_secrets: bool) -> bytes:
    hashed = hashlib.sha256()
    for word in _list_words(value, shows_secrets=shows_secrets):
        hashed.update(f"{len(word)}:{word}".encode("utf-8", "surrogatepass"))
    return hashed.digest()


def _list_words(value: Any, *, shows_secrets: bool) -> Iterator[str]:
    """Yields the words of a value in an order that depends on nothing but what it says."""
    if isinstance(value, Secret):
        yield value.reveal() if shows_secrets else "secret"
    elif is_dataclass(value):
        yield type(value).__name__
        for field in fields(value):
            yield field.name
            yield from _list_words(getattr(value, field.name), shows_secrets=shows_secrets)
    elif isinstance(value, Mapping):
        yield f"mapping of {len(value)}"
        for key in sorted(value, key=repr):
            yield repr(key)
            yield from _list_words(value[key], shows_secrets=shows_secrets)
    elif isinstance(value, tuple | list):
        yield f"list of {len(value)}"
        for item in value:
            yield from _list_words(item, shows_secrets=shows_secrets)
    elif isinstance(value, frozenset | set):
        yield f"set of {len(value)}"
        yield from sorted(map(repr, value))
    else:
        yield repr(value)
