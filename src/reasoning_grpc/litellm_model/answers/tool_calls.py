"""`ToolCallReader`: reads the tool calls of one answer, whichever way a server tells their deltas apart."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reasoning_grpc.domain.events import ToolCallDelta
from reasoning_grpc.litellm_model.lenient import Json, read_object, read_objects, read_text


def find_calls(delta: Mapping[str, Any]) -> list[Json]:
    """Returns the tool calls in a delta: a list, or, from old servers, a single call or a `function_call`."""
    calls = delta.get("tool_calls")
    if not calls and isinstance(function := delta.get("function_call"), dict):
        return [{"function": function}]
    return [calls] if isinstance(calls, dict) and "function" in calls else read_objects(calls)


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose deltas are arriving."""

    id: str
    index: int
    wire_index: int | None
    """The index that the server gives the call; None if it gives none."""
    wire_id: str
    """The id that the server gives the call; empty if it gives none."""
    has_name: bool = False


@dataclass(slots=True)
class ToolCallReader:
    """Reads the tool calls of one answer, delta by delta."""

    _calls: list[_OpenCall] = field(default_factory=list)

    @property
    def has_calls(self) -> bool:
        """Whether the answer has any call so far."""
        return bool(self._calls)

    @property
    def has_unnamed_call(self) -> bool:
        """Whether the name of any call is still missing."""
        return any(not call.has_name for call in self._calls)

    def read_call(self, call: Mapping[str, Any]) -> ToolCallDelta:
        """Converts one call of a delta."""
        function = read_object(call.get("function"))
        name, arguments = read_text(function.get("name")), function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments)
        known = self._find_call(call, name) or self._open_call(call)
        if known.has_name:
            name = ""  # some servers repeat it in every delta
        known.has_name = known.has_name or bool(name)
        return ToolCallDelta(known.id, known.index, name, read_text(arguments), _find_signature(call))

    def _open_call(self, call: Mapping[str, Any]) -> _OpenCall:
        wire_index, wire_id = call.get("index"), read_text(call.get("id"))
        opened = _OpenCall(
            id=wire_id or f"call_{uuid.uuid4().hex}",
            index=len(self._calls),
            wire_index=wire_index if isinstance(wire_index, int) else None,
            wire_id=wire_id,
        )
        self._calls.append(opened)
        return opened

    def _find_call(self, call: Mapping[str, Any], name: str) -> _OpenCall | None:
        """Returns the open call that a delta continues; None if the delta begins a call.

        The call is found by its index, else by its id. Without either, a delta without a name continues the last call.
        """
        wire_index, wire_id = call.get("index"), read_text(call.get("id"))
        if isinstance(wire_index, int):
            same_index = [known for known in self._calls if known.wire_index == wire_index]
            # Some servers give every whole call the index 0; a new id with a name tells them apart.
            if same_index and not (wire_id and name and same_index[-1].wire_id not in {"", wire_id}):
                return same_index[-1]
            return None
        if wire_id:
            return next((known for known in self._calls if known.wire_id == wire_id), None)
        return self._calls[-1] if self._calls and not name else None


def _find_signature(call: Mapping[str, Any]) -> str:
    """Returns Gemini's signature of a call, from Google's OpenAI dialect or from litellm's."""
    google = read_object(read_object(call.get("extra_content")).get("google"))
    litellm = read_object(call.get("provider_specific_fields"))
    return read_text(google.get("thought_signature")) or read_text(litellm.get("thought_signature"))
