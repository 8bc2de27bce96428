"""Decodes the JSON of the events of an answer."""

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer

_T = TypeVar("_T")
_MOST_MISFITS: Final = 16
"""After so many events of other forms in a row, the rest of their batch is not tried."""


def decode_frequent(decode: Callable[[bytes], _T], events: list[bytes]) -> list[_T | None]:
    """Decodes events of the form that is most frequent in bursts, which `decode` knows; None for any other event.

    It decodes a whole batch, because a function call for each event would take a fifth of the time.
    """
    decoded: list[_T | None] = []
    misfits = 0
    is_ascii = b"".join(events).isascii()
    for event in events:
        try:
            if type(event) is bytes:  # the kinds of events that have a name are subclasses
                value = decode(event)
                if not is_ascii:
                    event.decode()  # msgspec does not check the text of members that it skips
                decoded.append(value)
                misfits = 0
                continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        decoded.append(None)
        misfits += 1
        if misfits == _MOST_MISFITS:
            break
    return decoded + [None] * (len(events) - len(decoded))


def decode_event(event: bytes) -> object:
    """Returns the JSON value of an event, of which protobuf can hold every text. Raises MalformedAnswer."""
    try:
        return msgspec.json.decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # perhaps half of a surrogate pair, which msgspec refuses and the standard library takes
    except RecursionError as exc:
        raise MalformedAnswer("an event is nested too deeply") from exc
    try:
        return _replace_surrogates(json.loads(event))
    except (ValueError, RecursionError) as exc:
        raise MalformedAnswer("an event is not JSON") from exc


def _replace_surrogates(value: Any) -> Any:
    """Returns the value with each lone surrogate replaced, because protobuf refuses them."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_replace_surrogates(item) for item in value]
        case dict():
            return {_replace_surrogates(key): _replace_surrogates(item) for key, item in value.items()}
        case _:
            return value
