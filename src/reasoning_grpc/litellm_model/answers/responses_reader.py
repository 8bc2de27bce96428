"""`ResponsesReader`: reads the JSON events of one answer of OpenAI's Responses API.

The events are those of OpenAI's reference of streaming events. Most texts come three times: in deltas, at the end of
their part and item, and in the last event. A text counts once, whichever of them a server sends. A document without a
stream is read like the response in the last event of a stream.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import check_finish_word, convert_finish_word
from reasoning_grpc.litellm_model.answers.output_items import (
    FUNCTION_CALL,
    MESSAGE,
    REASONING,
    Member,
    OutputItem,
    TextOfPart,
    list_content,
    list_parts,
    read_arguments,
    read_whole_text,
)
from reasoning_grpc.litellm_model.answers.output_list import OutputList
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import decode_part, find_error
from reasoning_grpc.litellm_model.lenient import Json, read_label, read_object, read_text

_COMPLETED: Final = frozenset({"completed", "complete", "done"})
_UNFINISHED: Final = frozenset({"", "in_progress", "queued"})
_INCOMPLETE: Final = "incomplete"
_FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class _Text:
    """Where the events of one kind of text have it."""

    kind: str
    """The kind of its item."""
    member: Member
    index: str
    """The member with the index of its part."""
    whole: str
    """The member with the whole text, in the event that ends it."""


_TEXTS: Final[Mapping[str, _Text]] = {
    "response.output_text": _Text(MESSAGE, Member.TEXT, "content_index", "text"),
    "response.refusal": _Text(MESSAGE, Member.REFUSAL, "content_index", "refusal"),
    "response.reasoning_summary_text": _Text(REASONING, Member.SUMMARY, "summary_index", "text"),
    "response.reasoning_text": _Text(REASONING, Member.REASONING, "content_index", "text"),
    "response.function_call_arguments": _Text(FUNCTION_CALL, Member.ARGUMENTS, "", "arguments"),
}
"""The events of texts, by their types without the last word, which is `delta` or `done`."""


@dataclass(slots=True)
class ResponsesReader(AnswerRecord):
    """Reads the JSON events of one answer, in order."""

    is_stored: bool = False
    """Whether the request asks the provider to keep the response, so that it finds the items by their ids."""
    _output: OutputList = field(default_factory=OutputList)
    _response_id: str = ""
    _last_item: OutputItem | None = None
    """The item of the last delta."""
    _last_message: OutputItem | None = None
    """The item of the last delta of content."""
    _has_ended: bool = False

    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""
        deltas = self._read_event(decode_part(event))
        self._count_output(deltas)
        if deltas or self.finish_reason is not None:
            self.has_answer = True
        return deltas

    @property
    def is_ended(self) -> bool:
        """Whether the response has ended; this protocol's stream has an event of its own for that."""
        return self._has_ended

    def _read_event(self, event: Json) -> list[Delta]:
        kind = read_text(event.get("type"))
        if known := _READERS.get(kind):
            return known(self, event)
        stem, _, ending = kind.rpartition(".")
        if ending in {"delta", "done"} and (text := _TEXTS.get(stem)):
            return self._read_text(event, text, is_whole=ending == "done")
        if event.get("object") == "response" or (not kind and "output" in event):
            return self._read_response(event, event.get("status"))
        error = find_error(event)
        if error is not None:
            raise ErrorInAnswer(error)
        if not kind:
            raise MalformedAnswer("an event has no type")
        return []  # a kind of event that says nothing about text, reasoning or calls

    def _begin_response(self, event: Json) -> list[Delta]:
        response = read_object(event.get("response"))
        self._check_store(response)
        response_id = read_text(response.get("id"))
        if response_id and self._response_id and response_id != self._response_id:
            raise MalformedAnswer("a second answer began in the same stream")
        self._response_id = self._response_id or response_id
        self.has_answer = True  # a model may reason for minutes before its first delta
        self._record_usage(read_object(response.get("usage")))
        return []

    def _check_store(self, response: Json) -> None:
        """Records that a response is not kept; some organizations of OpenAI's let it keep none."""
        if response.get("store") is False:
            self.is_stored = False

    def _begin_item(self, event: Json) -> list[Delta]:
        item, content = self._output.begin(event), read_object(event.get("item"))
        for part, text, _ in list_parts(item.kind, content):
            item.announce(part, text)
        return self._record(item, item.name_call(content) if item.kind == FUNCTION_CALL else [])

    def _end_item(self, event: Json) -> list[Delta]:
        content = read_object(event.get("item"))
        return self._read_item(self._output.find(event, read_text(content.get("type"))), content)

    def _read_text(self, event: Json, text: _Text, *, is_whole: bool) -> list[Delta]:
        item = self._output.find(event, text.kind)
        part, logprobs = (text.member, read_label(event.get(text.index)) or 0), event.get("logprobs")
        if not is_whole:
            return self._record(item, item.read_delta(part, read_whole_text(event.get("delta")), logprobs))
        deltas = item.name_call(event) if text.kind == FUNCTION_CALL else []
        whole = event.get(text.whole)
        whole = read_arguments(whole) if text.kind == FUNCTION_CALL else read_whole_text(whole)
        return self._record(item, deltas + item.read_whole(part, whole, logprobs))

    def _begin_part(self, event: Json) -> list[Delta]:
        item, texts = self._find_part(event)
        for part, text, _ in texts:
            item.announce(part, text)
        return []

    def _end_part(self, event: Json) -> list[Delta]:
        item, texts = self._find_part(event)
        deltas = [delta for part, text, logprobs in texts for delta in item.read_whole(part, text, logprobs)]
        return self._record(item, deltas)

    def _find_part(self, event: Json) -> tuple[OutputItem, list[TextOfPart]]:
        """Returns the item of an event about a part, and the texts of the part. Raises MalformedAnswer."""
        content = read_object(event.get("part"))
        if content.get("type") not in {"summary_text", "reasoning_text"}:
            item = self._output.find(event, MESSAGE)
            return item, list(list_content(content, read_label(event.get("content_index")) or 0))
        is_summary = content["type"] == "summary_text"
        member, index = (Member.SUMMARY, "summary_index") if is_summary else (Member.REASONING, "content_index")
        part = (member, read_label(event.get(index)) or 0)
        return self._output.find(event, REASONING), [(part, read_whole_text(content.get("text")), None)]

    def _read_response(self, response: Json, status: object) -> list[Delta]:
        """Reads a response that has ended, or that is not streamed. Raises ErrorInAnswer for one that failed."""
        self._record_usage(read_object(response.get("usage")))
        self._check_store(response)
        word = read_text(status)
        if (error := response.get("error")) or word == _FAILED:
            raise ErrorInAnswer(error or {"code": "server_error"})
        check_finish_word(word)
        deltas: list[Delta] = []
        for content, item in self._output.match(_read_output(response.get("output"))):
            deltas += self._read_item(item, content)
        if word not in _UNFINISHED:
            deltas += self._read_announced()
            self._record_end(word, read_text(read_object(response.get("incomplete_details")).get("reason")))
        return deltas

    def _end_response(self, event: Json) -> list[Delta]:
        """Reads the last event. Where it and its response disagree about how the answer ended, the worse end counts."""
        response = read_object(event.get("response"))
        named, status = read_text(event.get("type")).removeprefix("response."), read_text(response.get("status"))
        is_better = named in _COMPLETED and status not in _UNFINISHED
        response = {**response, "error": response.get("error") or event.get("error")}
        return self._read_response(response, status if is_better else named)

    def _read_item(self, item: OutputItem, content: Json) -> list[Delta]:
        is_first = not item.is_done
        deltas = self._record(item, item.read_parts(content))
        is_signed = is_first and self._can_sign(item)
        return deltas + self._record(item, item.sign(content, is_stored=self.is_stored) if is_signed else [])

    def _read_announced(self) -> list[Delta]:
        deltas: list[Delta] = []
        for item in self._output:
            if not item.is_done:
                deltas += self._record(item, item.read_announced())
        return deltas

    def _can_sign(self, item: OutputItem) -> bool:
        """Whether a signature would still stand at its place: nothing that must follow it has come before it."""
        if item.kind == MESSAGE:
            return item is self._last_message
        has_successor = any(later.has_begun for later in self._output.list_later(item))
        return item is self._last_item or not (item.has_begun or has_successor)

    def _record(self, item: OutputItem, deltas: list[Delta]) -> list[Delta]:
        if not deltas:
            return deltas
        last, self._last_item = self._last_item, item
        if isinstance(deltas[-1], ContentDelta):
            self._last_message = item
        if last is None or last is item or last.kind != REASONING or last.is_done:
            return deltas
        # llama.cpp ends reasoning after the text that follows it, but what must come back of it is known here.
        return [*last.sign({"id": last.id}, is_stored=self.is_stored), *deltas]

    def _record_end(self, status: str, reason: str) -> None:
        if any(item.is_nameless for item in self._output):
            raise MalformedAnswer("a function call has no name")
        self._has_ended = True
        if status in _COMPLETED:
            self.finish_reason = FinishReason.TOOL_CALLS if self._output.labels.has_calls else FinishReason.STOP
        else:
            status = reason or status if status == _INCOMPLETE else status
            self.finish_reason = convert_finish_word(status)
        self.provider_finish_reason = status


def _read_output(value: object) -> list[Json]:
    """Returns the items of a whole output. Raises MalformedAnswer where one could not be read."""
    if value is not None and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
        raise MalformedAnswer("the output is not a list of items")
    return value or []


_READERS: Final[Mapping[str, Callable[[ResponsesReader, Json], list[Delta]]]] = {
    "response.created": ResponsesReader._begin_response,
    "response.queued": ResponsesReader._begin_response,
    "response.in_progress": ResponsesReader._begin_response,
    "response.output_item.added": ResponsesReader._begin_item,
    "response.output_item.done": ResponsesReader._end_item,
    "response.content_part.added": ResponsesReader._begin_part,
    "response.content_part.done": ResponsesReader._end_part,
    "response.reasoning_summary_part.added": ResponsesReader._begin_part,
    "response.reasoning_summary_part.done": ResponsesReader._end_part,
    "response.completed": ResponsesReader._end_response,
    "response.done": ResponsesReader._end_response,
    "response.incomplete": ResponsesReader._end_response,
    "response.failed": ResponsesReader._end_response,
    "response.cancelled": ResponsesReader._end_response,
}
"""The readers of the events that are not about one text, by type."""
