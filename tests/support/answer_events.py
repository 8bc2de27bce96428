"""JSON events of an answer, as an upstream of the OpenAI protocol sends them, and what our reader reads in them."""

import json
from typing import Any

from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers import AnswerReader

Json = dict[str, Any]


def read_events(reader: AnswerReader, *events: Json) -> list[Delta]:
    """Returns the deltas of these events."""
    return [delta for event in events for delta in reader.read(json.dumps(event).encode())]


def a_call_json(
    index: int | None = None, call_id: str | None = None, name: str | None = None, arguments: Any = None
) -> Json:
    """Returns one call of a delta; arguments that are None are left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    members = (("index", index), ("id", call_id), ("function", function or None))
    return {key: value for key, value in members if value is not None}
