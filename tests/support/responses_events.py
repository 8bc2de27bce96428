"""Answers of OpenAI's Responses API, and the events in which servers write them: most texts come more than once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Writing:
    """The events of an answer that a server sends. It sends the texts in one of these ways at least."""

    has_beginnings: bool = True
    """Whether an event begins each item and each part."""
    has_deltas: bool = True
    has_ends: bool = True
    """Whether an event ends each text, with all of it."""
    has_part_ends: bool = True
    has_item_ends: bool = True
    has_output: bool = True
    """Whether the last event has the whole output."""
    has_places: bool = True
    """Whether events have the index of their item."""
    has_ids: bool = True
    delta_length: int = 4

    @property
    def is_readable(self) -> bool:
        """Whether the answer can be read from these events at all, in its order.

        The name of a call comes only with a whole item or its beginning, and without labels, only these separate items.
        """
        has_text_events = self.has_deltas or self.has_ends
        has_names = self.has_beginnings or self.has_item_ends
        if not (has_text_events or self.has_part_ends):
            return self.has_item_ends or self.has_output
        return has_names and (has_text_events or self.has_item_ends)


@dataclass(slots=True)
class _Writer:
    writing: Writing
    number: int = 0
    events: list[Json] = field(default_factory=list)

    def write(self, kind: str, **members: Any) -> None:
        self.events.append({"type": f"response.{kind}", "sequence_number": self.number, **members})
        self.number += 1

    def label(self, place: int, item: Json) -> Json:
        labels: Json = {"output_index": place} if self.writing.has_places else {}
        return labels | ({"item_id": item["id"]} if self.writing.has_ids else {})

    def write_item(self, place: int, item: Json) -> None:
        writing = self.writing
        sent = item if writing.has_ids else {name: value for name, value in item.items() if name != "id"}
        labels = self.label(place, item)
        where = {name: value for name, value in labels.items() if name == "output_index"}
        if writing.has_beginnings:
            self.write("output_item.added", **where, item=_empty(sent))
        if item["type"] == "function_call":
            self._write_text(labels, "function_call_arguments", "arguments", item["arguments"])
        for index, part in enumerate(item.get("summary", ())):
            self._write_part({**labels, "summary_index": index}, "reasoning_summary_part", part)
        for index, part in enumerate(item.get("content") or ()):
            self._write_part({**labels, "content_index": index}, "content_part", part)
        if writing.has_item_ends:
            self.write("output_item.done", **where, item=sent)

    def _write_part(self, labels: Json, kind: str, part: Json) -> None:
        name = "refusal" if "refusal" in part else "text"
        event = {
            "output_text": "output_text",
            "refusal": "refusal",
            "summary_text": "reasoning_summary_text",
            "reasoning_text": "reasoning_text",
        }[part["type"]]
        if self.writing.has_beginnings:
            self.write(f"{kind}.added", **labels, part=part | {name: ""})
        self._write_text(labels, event, name, part[name])
        if self.writing.has_part_ends:
            self.write(f"{kind}.done", **labels, part=part)

    def _write_text(self, labels: Json, event: str, name: str, text: str) -> None:
        length = self.writing.delta_length
        if self.writing.has_deltas:
            for start in range(0, len(text), length):
                self.write(f"{event}.delta", **labels, delta=text[start : start + length], obfuscation="x")
        if self.writing.has_ends:
            self.write(f"{event}.done", **labels, **{name: text})


def write_stream(items: Sequence[Json], writing: Writing | None = None, **response: Any) -> list[Json]:
    """Returns the events of an answer with these items; `response` has members of the whole response."""
    writing = writing or Writing()
    writer = _Writer(writing)
    writer.write("created", response=make_response("in_progress"))
    writer.write("in_progress", response=make_response("in_progress"))
    for place, item in enumerate(items):
        writer.write_item(place, item)
    output = list(items) if writing.has_output else []
    last = {**make_response("completed"), "output": output, **response}
    writer.write(last["status"], response=last)
    return writer.events


def make_response(status: str, /, *output: Json, **members: Any) -> Json:
    """Returns a response in this state."""
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "error": None, "store": False}
    return {**head, "status": status, "incomplete_details": None, "output": list(output), "usage": None, **members}


def delta(text: Any, kind: str = "output_text", place: int | None = 0, **members: Any) -> Json:
    """Returns an event with a delta."""
    labels = {} if place is None else {"output_index": place}
    return {"type": f"response.{kind}.delta", **labels, "delta": text, **members}


def end(kind: str = "completed", /, *output: Json, **members: Any) -> Json:
    """Returns the event that ends a response; `members` are those of the response."""
    return {"type": f"response.{kind}", "response": {**make_response(kind, *output), **members}}


def _empty(item: Json) -> Json:
    return {name: _EMPTY.get(name, value) for name, value in item.items()} | {"status": "in_progress"}


_EMPTY: Json = {"summary": [], "content": [], "arguments": "", "encrypted_content": None}


def list_texts(items: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """Yields the texts of the items in order, with their kinds; the parts of reasoning are one text."""
    for item in items:
        match item["type"]:
            case "function_call":
                yield item["name"], item["arguments"]
            case "reasoning":
                parts = [part["text"] for part in (*item["summary"], *(item.get("content") or ())) if part["text"]]
                yield "reasoning", "\n\n".join(parts)
            case _:
                for part in item["content"]:
                    yield ("refusal", part["refusal"]) if "refusal" in part else ("text", part["text"])
