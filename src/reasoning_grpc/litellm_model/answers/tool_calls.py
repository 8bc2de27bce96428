"""`ToolCallReader`: reads the tool calls of one answer, whichever way a server tells their deltas apart."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from reasoning_grpc.domain.events import ToolCallDelta
from reasoning_grpc.litellm_model.answers.json_progress import JsonProgress
from reasoning_grpc.litellm_model.lenient import Json, read_label, read_object, read_objects, read_text


def find_calls(delta: Mapping[str, Any]) -> list[Json]:
    """Returns the tool calls in a delta: a list, or, from old servers, a single call or a `function_call`."""
    calls = delta.get("tool_calls")
    if not calls and isinstance(function := delta.get("function_call"), dict):
        return [{"function": function}]
    return [calls] if isinstance(calls, dict) and "function" in calls else read_objects(calls)


def normalize_call(call: Json) -> Json:
    """Returns a part of a call with the types that its members must have; members of no use are left out."""
    part = _read_wire_call(call)
    function = {"name": part.name} if part.name else {}
    members = {name: value for name, value in call.items() if name not in {"index", "id"}}
    labels = {name: value for name, value in (("index", part.index), ("id", part.id or None)) if value is not None}
    return {**members, **labels, "function": {**function, "arguments": part.arguments}}


@dataclass(frozen=True, slots=True)
class _WireCall:
    """A tool call in one delta. Index and id are labels: servers leave them out, repeat them and share them."""

    index: int | None
    """None if the server gives none."""
    id: str
    name: str
    arguments: str
    signature: str

    @property
    def is_anonymous(self) -> bool:
        """Whether nothing in the part says to which call it belongs."""
        return self.index is None and not self.id and not self.name


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose deltas are arriving."""

    id: str
    """Our id, which no other call of the answer has."""
    index: int
    wire_index: int | None
    wire_id: str
    delta_number: int
    """The number of the last delta that had a part of the call."""
    name: str = ""
    arguments: JsonProgress = field(default_factory=JsonProgress)
    is_named_again: bool = False
    """Whether the name came again without arguments, after arguments that were whole."""
    held: list[_WireCall] = field(default_factory=list)
    """The parts that came before the name."""

    @property
    def is_partial(self) -> bool:
        """Whether the call has arguments, and their JSON is not whole yet."""
        return self.arguments.has_begun and not self.arguments.is_whole


@dataclass(slots=True)
class ToolCallReader:
    """Reads the tool calls of one answer, delta by delta. Nothing of a call is returned before its name is known."""

    _calls: list[_OpenCall] = field(default_factory=list)
    _last: _OpenCall | None = None
    """The call to which the last part belongs."""
    _delta_number: int = 0

    @property
    def has_calls(self) -> bool:
        """Whether the answer has any call so far."""
        return bool(self._calls)

    @property
    def has_unnamed_call(self) -> bool:
        """Whether the name of any call is still missing."""
        return any(not call.name for call in self._calls)

    def read_calls(self, calls: list[Json]) -> list[ToolCallDelta]:
        """Converts the calls of one delta."""
        self._delta_number += 1
        parts = [_read_wire_call(call) for call in calls]
        read = zip(parts, self._find_calls(parts), strict=True)
        return [delta for part, known in read if (delta := self._read_call(part, known)) is not None]

    def _find_calls(self, parts: list[_WireCall]) -> Iterator[_OpenCall | None]:
        """Yields the known call of each part; None where there is none. Several parts without labels are in order."""
        is_in_order = 1 < len(parts) <= len(self._calls) and all(part.is_anonymous for part in parts)
        for position, part in enumerate(parts):
            yield self._calls[position] if is_in_order else self._find_call(part)

    def _read_call(self, part: _WireCall, known: _OpenCall | None) -> ToolCallDelta | None:
        name = part.name
        if known is not None and self._begins_another(part, known):
            name = name or known.name  # the name came before, with the labels of the call that was whole
            known.is_named_again = False
            known = None
        if known is None:
            known = self._open_call(part)
        elif known.name:
            name = ""  # some servers repeat it in every delta
        known.name = known.name or name
        known.wire_id = known.wire_id or part.id
        known.wire_index = part.index if known.wire_index is None else known.wire_index
        known.delta_number = self._delta_number
        self._last = known
        known.arguments.read(part.arguments)
        if not known.name:
            known.held.append(part)
            return None
        arguments, signature = part.arguments, part.signature
        if known.held:
            parts, known.held = [*known.held, part], []
            arguments = "".join(each.arguments for each in parts)
            signature = "".join(each.signature for each in parts)
        return ToolCallDelta(known.id, known.index, name, arguments, signature)

    def _open_call(self, part: _WireCall) -> _OpenCall:
        is_unique = part.id and all(call.id != part.id for call in self._calls)
        opened = _OpenCall(
            id=part.id if is_unique else f"call_{uuid.uuid4().hex}",
            index=len(self._calls),
            wire_index=part.index,
            wire_id=part.id,
            delta_number=self._delta_number,
        )
        self._calls.append(opened)
        return opened

    def _find_call(self, part: _WireCall) -> _OpenCall | None:
        """Returns the latest call that the labels of a delta fit; None if they fit none.

        The index decides, and the id among calls that share an index. Without labels, the last call is meant.
        """
        last = self._last
        same_id = self._find_last(lambda call: bool(part.id) and call.wire_id == part.id)
        if part.index is not None:
            same_index = self._find_last(lambda call: call.wire_index == part.index)
            if same_index is not None:
                return same_id if same_id is not None and same_id.wire_index == part.index else same_index
            if same_id is not None:  # some servers count the deltas, not the calls
                return same_id if not part.name or (same_id.is_partial and part.name == same_id.name) else None
            return last if last is not None and not part.id and self._continues_unlabelled(part, last) else None
        if part.id:
            return same_id or (last if last is not None and self._continues_unlabelled(part, last) else None)
        return last

    def _find_last(self, fits: Callable[[_OpenCall], bool]) -> _OpenCall | None:
        return next((call for call in reversed(self._calls) if fits(call)), None)

    def _continues_unlabelled(self, part: _WireCall, last: _OpenCall) -> bool:
        """Whether a delta whose labels fit no call continues the last one: a call begins with its name."""
        return not part.name and bool(last.name) and not (last.arguments.is_whole and part.arguments.strip())

    def _begins_another(self, part: _WireCall, known: _OpenCall) -> bool:
        """Whether a delta begins another call, although its labels are those of a known one.

        Some servers give every call the index 0, or the same id, or no label. So another name begins a call, and so
        do a name with another id, and arguments with a name after arguments that were whole.
        """
        if not part.name:
            return known.is_named_again and part.arguments.lstrip().startswith("{")
        if not known.name:
            return False
        if part.name != known.name:
            return True
        has_other_id = bool(part.id) and known.wire_id not in {"", part.id}
        if known.is_partial:
            return has_other_id and part.arguments.strip()[:1] in {"", "{"}
        if has_other_id:
            return True
        if known.delta_number == self._delta_number:
            return True  # one delta has two parts with a name
        if known.arguments.is_whole:
            if part.arguments.strip():
                return True
            known.is_named_again = True
        return False


def _read_wire_call(call: Mapping[str, Any]) -> _WireCall:
    function = read_object(call.get("function"))
    arguments = function.get("arguments", function.get("parameters"))
    if arguments is not None and not isinstance(arguments, str):
        arguments = json.dumps(arguments)
    return _WireCall(
        index=read_label(call.get("index")),
        id=read_text(call.get("id")),
        name=read_text(function.get("name")),
        arguments=read_text(arguments),
        signature=_find_signature(call),
    )


def _find_signature(call: Mapping[str, Any]) -> str:
    """Returns Gemini's signature of a call, from Google's OpenAI dialect or from litellm's."""
    google = read_object(read_object(call.get("extra_content")).get("google"))
    litellm = read_object(call.get("provider_specific_fields"))
    return read_text(google.get("thought_signature")) or read_text(litellm.get("thought_signature"))
