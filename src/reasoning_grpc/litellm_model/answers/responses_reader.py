"""`ResponsesReader`: reads the JSON events of one answer of OpenAI's Responses API.

The events are those of OpenAI's reference of streaming events. A document without a stream is read like the response
in the last event of a stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import Delta
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import convert_finish_word
from reasoning_grpc.litellm_model.answers.output_items import (
    FUNCTION_CALL,
    MESSAGE,
    REASONING,
    OutputItem,
    choose_call_id,
)
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import decode_part, read_choice
from reasoning_grpc.litellm_model.lenient import Json, read_label, read_object, read_objects, read_text

_COMPLETED: Final = "completed"
_INCOMPLETE: Final = "incomplete"
_SUCCESSFUL: Final = frozenset({_COMPLETED, _INCOMPLETE})
_UNFINISHED: Final = frozenset({"", "in_progress", "queued"})


@dataclass(slots=True)
class ResponsesReader(AnswerRecord):
    """Reads the JSON events of one answer, in order."""

    _items: dict[object, OutputItem] = field(default_factory=dict)
    """The items by their place in the output, in the order in which they came."""
    _has_ended: bool = False

    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""
        part = decode_part(event)
        kind = read_text(part.get("type"))
        if not kind.startswith("response."):
            if part.get("object") != "response":
                read_choice(part)  # raises the error that the part may report
                if not kind:
                    raise MalformedAnswer("an event has no type")
                return []
            deltas = self._read_response(part)
        elif (read_event := _READERS.get(kind)) is None:
            return []  # a kind of event that says nothing about text, reasoning or calls
        else:
            deltas = read_event(self, part)
        self._count_output(deltas)
        if deltas or self.finish_reason is not None:
            self.has_answer = True
        return deltas

    @property
    def is_ended(self) -> bool:
        """Whether the response has ended; this protocol's stream has an event of its own for that."""
        return self._has_ended

    def _read_text(self, part: Json) -> list[Delta]:
        text = _read_delta(part)
        return self._find_item(part, MESSAGE).read_text(_read_index(part, "content_index"), text, part.get("logprobs"))

    def _read_refusal(self, part: Json) -> list[Delta]:
        return self._find_item(part, MESSAGE).read_refusal(_read_index(part, "content_index"), _read_delta(part))

    def _read_summary(self, part: Json) -> list[Delta]:
        index = _read_index(part, "summary_index")
        return self._find_item(part, REASONING).read_reasoning("summary", index, _read_delta(part))

    def _read_reasoning(self, part: Json) -> list[Delta]:
        index = _read_index(part, "content_index")
        return self._find_item(part, REASONING).read_reasoning("text", index, _read_delta(part))

    def _read_arguments(self, part: Json) -> list[Delta]:
        return self._find_item(part, FUNCTION_CALL).read_arguments(_read_delta(part))

    def _begin_item(self, part: Json) -> list[Delta]:
        item = read_object(part.get("item"))
        opened = self._open_item(_find_place(part), item)
        return opened.read_name(read_text(item.get("name"))) if opened.kind == FUNCTION_CALL else []

    def _end_item(self, part: Json) -> list[Delta]:
        return self._read_item(_find_place(part), read_object(part.get("item")))

    def _read_item(self, place: object, item: Json) -> list[Delta]:
        opened = self._open_item(place, item)
        return [] if opened.is_done else opened.read_rest(item)

    def _end_response(self, part: Json) -> list[Delta]:
        response = read_object(part.get("response"))
        status = read_text(part.get("type")).removeprefix("response.")
        return self._read_response({**response, "status": status})

    def _read_response(self, response: Json) -> list[Delta]:
        """Reads a response that has ended, or that is not streamed. Raises ErrorInAnswer for one that failed."""
        self._record_usage(read_object(response.get("usage")))
        status = read_text(response.get("status"))
        error = response.get("error")
        if status not in _SUCCESSFUL and (error or status not in _UNFINISHED):
            raise ErrorInAnswer(error or {"code": "server_error"})
        output = read_objects(response.get("output"))
        deltas = [delta for place, item in enumerate(output) for delta in self._read_item(place, item)]
        self._record_end(status, read_text(read_object(response.get("incomplete_details")).get("reason")))
        return deltas

    def _record_end(self, status: str, reason: str) -> None:
        if status in _UNFINISHED:
            return
        self._has_ended = True
        word = reason or status if status == _INCOMPLETE else status
        calls = [item for item in self._items.values() if item.kind == FUNCTION_CALL]
        if status == _COMPLETED:
            if not all(call.name for call in calls):
                raise MalformedAnswer("a function call has no name")
            self.finish_reason = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        else:
            self.finish_reason = convert_finish_word(word)
        self.provider_finish_reason = word

    def _find_item(self, part: Json, kind: str) -> OutputItem:
        """Returns the item of a delta; some servers leave out the event that begins it."""
        return self._open_item(_find_place(part), {"type": kind, "call_id": part.get("call_id")})

    def _open_item(self, place: object, item: Json) -> OutputItem:
        opened = self._items.get(place)
        if opened is None:
            kind = read_text(item.get("type"))
            calls = [known for known in self._items.values() if known.kind == FUNCTION_CALL]
            call_id = choose_call_id(item, {call.call_id for call in calls}) if kind == FUNCTION_CALL else ""
            opened = self._items[place] = OutputItem(kind, call_id, len(calls))
        return opened


def _find_place(part: Json) -> object:
    """Returns what tells an item from the others: its index in the output, or else its id."""
    index = read_label(part.get("output_index"))
    return index if index is not None else part.get("item_id") or read_object(part.get("item")).get("id")


def _read_index(part: Json, name: str) -> int:
    return read_label(part.get(name)) or 0


def _read_delta(part: Json) -> str:
    """Returns the text of a delta. Raises MalformedAnswer where it has another type, because it would be lost."""
    delta = part.get("delta")
    if not isinstance(delta, str | None):
        raise MalformedAnswer("a delta is no text")
    return delta or ""


_READERS: Final[Mapping[str, Callable[[ResponsesReader, Json], list[Delta]]]] = {
    "response.output_text.delta": ResponsesReader._read_text,
    "response.refusal.delta": ResponsesReader._read_refusal,
    "response.reasoning_summary_text.delta": ResponsesReader._read_summary,
    "response.reasoning_text.delta": ResponsesReader._read_reasoning,
    "response.function_call_arguments.delta": ResponsesReader._read_arguments,
    "response.output_item.added": ResponsesReader._begin_item,
    "response.output_item.done": ResponsesReader._end_item,
    "response.completed": ResponsesReader._end_response,
    "response.incomplete": ResponsesReader._end_response,
    "response.failed": ResponsesReader._end_response,
    "response.cancelled": ResponsesReader._end_response,
}
"""The readers of the events, by type."""
