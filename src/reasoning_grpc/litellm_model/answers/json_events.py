"""Decodes the JSON of one event of an answer."""

import json
from typing import Any

import msgspec

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer


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
