"""OpenAI's Responses API: a response has output items, and each event of its stream has a type, a name and a number."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from .answers import Completion, FakeToolCall, Json, Piece
from .openai import OpenAI

_RESPONSE: Final[Json] = {
    "id": "resp_fake",
    "object": "response",
    "created_at": 1_700_000_000,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "store": False,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
_STATUSES: Final[Mapping[str, tuple[str, str | None]]] = {
    "stop": ("completed", None),
    "tool_calls": ("completed", None),
    "length": ("incomplete", "max_output_tokens"),
}
"""The status and the reason for each finish reason; any other word is the reason of an incomplete response."""


def event(kind: str, number: int = 0, **members: Any) -> bytes:
    """Returns one event of this type, with its name and its sequence number."""
    data = {"type": kind, "sequence_number": number, **members}
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def message_item(number: int, *parts: Json, status: str = "completed", **members: Any) -> dict[str, Any]:
    """Returns an item with a message; `text_part` and `refusal_part` build its parts."""
    labels = {"id": f"msg_{number}", "type": "message", "status": status, "role": "assistant"}
    return {**labels, "content": list(parts), **members}


def text_part(text: str, logprobs: list[Json] | None = None) -> dict[str, Any]:
    """Returns a part of a message with text."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs or []}


def refusal_part(text: str) -> dict[str, Any]:
    """Returns a part of a message that declines."""
    return {"type": "refusal", "refusal": text}


def reasoning_item(number: int, *summary: str, encrypted: str | None = None, **members: Any) -> dict[str, Any]:
    """Returns an item with the parts of a summary of the reasoning, and with encrypted reasoning."""
    parts = [{"type": "summary_text", "text": text} for text in summary]
    return {"id": f"rs_{number}", "type": "reasoning", "summary": parts, "encrypted_content": encrypted, **members}


def call_item(
    number: int, call_id: str, name: str, arguments: str, status: str = "completed", **members: Any
) -> dict[str, Any]:
    """Returns an item with a function call."""
    labels = {"id": f"fc_{number}", "type": "function_call", "status": status, "call_id": call_id}
    return {**labels, "name": name, "arguments": arguments, **members}


class Responses(OpenAI):
    """POST /v1/responses, also of Azure's addresses. Errors have the form of Chat Completions."""

    path: ClassVar = re.compile(r"(/v1|/openai/v1|/openai)/responses")
    done: ClassVar = b""

    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields one delta each, after the start of the response, the end of an item and the start of the next one."""
        stream = _Stream(completion)
        for piece in completion.pieces():
            yield stream.write(piece)

    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:  # noqa: ARG002
        """Yields the end of the last item, and the last event with the whole response."""
        stream = _Stream(completion)
        for piece in completion.pieces():
            stream.write(piece)
        yield stream.begin() + stream.end_item()
        if completion.finish_reason is not None:
            yield stream.end()

    def whole(self, completion: Completion) -> bytes:
        """Returns a response."""
        stream = _Stream(completion)
        for piece in completion.pieces():
            stream.write(piece)
        stream.end_item()
        return json.dumps(stream.build_response()).encode()

    def error_event(self, error: Json | None) -> bytes:
        """Returns the event of an error."""
        return event("error", error=error)

    def event(self, data: Json) -> bytes:
        """Returns one event; its name is its type."""
        return event(data["type"], **data) if isinstance(data.get("type"), str) else super().event(data)


class _Stream:
    """The events of one answer. Each block of the completion is an item of its own."""

    def __init__(self, completion: Completion) -> None:
        self._completion = completion
        self._number = 0
        self._output: list[Json] = []
        self._pieces: list[Piece] = []
        """The pieces of the item that is open."""

    def write(self, piece: Piece) -> bytes:
        """Returns the events up to the delta of this piece."""
        data = self.begin()
        if piece.begins:
            data += self.end_item()
            item = self._build_item(piece, "", "in_progress")
            data += self._write("output_item.added", output_index=len(self._output), item=item)
            if part := _build_part(piece, ""):
                data += self._write_part("added", piece, part)
        self._pieces.append(piece)
        if piece.kind == "redacted":
            return data
        members = {"delta": piece.text, **_describe(piece), "obfuscation": "k3Xz9"}
        if piece.kind == "content":
            members["logprobs"] = _logprobs(piece)
        return data + self._write(f"{_TEXT_EVENTS[piece.kind]}.delta", **self._label(piece), **members)

    def begin(self) -> bytes:
        """Returns the first events of the response; empty when they were returned before."""
        if self._number:
            return b""
        return self._write_response("created", "in_progress") + self._write_response("in_progress", "in_progress")

    def end_item(self) -> bytes:
        """Returns the end of the open item; empty where none is open."""
        if not self._pieces:
            return b""
        first, text = self._pieces[0], "".join(piece.text for piece in self._pieces)
        logprobs = [entry for piece in self._pieces for entry in _logprobs(piece)]
        item = self._build_item(first, text, "completed", logprobs)
        data = b""
        if kind := _TEXT_EVENTS.get(first.kind):
            name = {"refusal": "refusal", "tool_call": "arguments"}.get(first.kind, "text")
            members = {name: text} | ({"logprobs": logprobs} if first.kind == "content" else {})
            data += self._write(f"{kind}.done", **self._label(first), **_describe(first), **members)
        if part := _build_part(first, text, logprobs):
            data += self._write_part("done", first, part)
        data += self._write("output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._pieces.clear()
        return data

    def end(self) -> bytes:
        """Returns the last event."""
        response = self.build_response()
        return self._write(response["status"], response=response)

    def build_response(self) -> dict[str, Any]:
        """Returns the response with its whole output."""
        word = self._completion.finish_reason or "in_progress"
        status, reason = _STATUSES["stop"] if word == "auto" else _STATUSES.get(word, ("incomplete", word))
        if word == "in_progress":
            status, reason = word, None
        details = None if reason is None else {"reason": reason}
        return self._build_response(status, output=self._output, incomplete_details=details, usage=self._usage())

    def _write(self, kind: str, **members: Any) -> bytes:
        data = event(f"response.{kind}", self._number, **members)
        self._number += 1
        return data

    def _write_response(self, kind: str, status: str) -> bytes:
        return self._write(kind, response=self._build_response(status))

    def _write_part(self, ending: str, piece: Piece, part: Json) -> bytes:
        kind = "reasoning_summary_part" if piece.kind == "reasoning" else "content_part"
        return self._write(f"{kind}.{ending}", **self._label(piece), **_describe(piece), part=part)

    def _label(self, piece: Piece) -> dict[str, Any]:
        return {"item_id": self._build_item(piece, "", "")["id"], "output_index": len(self._output)}

    def _build_item(self, piece: Piece, text: str, status: str, logprobs: list[Json] | None = None) -> dict[str, Any]:
        number = len(self._output)
        if piece.call is not None:
            return _build_call(number, piece.call, text, status)
        if piece.kind == "redacted":
            return reasoning_item(number, encrypted=piece.text)
        if piece.kind == "reasoning":
            encrypted = self._completion.reasoning_signature
            return reasoning_item(number, *([text] if text else []), encrypted=encrypted)
        parts = [part for part in [_build_part(piece, text, logprobs)] if part and text]
        return message_item(number, *parts, status=status)

    def _build_response(self, status: str, **members: Any) -> dict[str, Any]:
        model: dict[str, Any] = {"status": status, "model": self._completion.model, "output": [], "usage": None}
        return {**_RESPONSE, **model, **members, **self._completion.extra}

    def _usage(self) -> Json | None:
        completion = self._completion
        if completion.usage is None or completion.usage == "null":
            return None
        read, written = "cached_tokens", "cache_creation_tokens"
        return {
            "input_tokens": completion.tokens("prompt_tokens"),
            "input_tokens_details": {
                "cached_tokens": completion.tokens(read, "prompt_tokens_details"),
                "cache_write_tokens": completion.tokens(written, "prompt_tokens_details"),
            },
            "output_tokens": completion.tokens("completion_tokens"),
            "output_tokens_details": {
                "reasoning_tokens": completion.tokens("reasoning_tokens", "completion_tokens_details")
            },
            "total_tokens": completion.tokens("total_tokens"),
        }


_TEXT_EVENTS: Final[Mapping[str, str]] = {
    "content": "output_text",
    "refusal": "refusal",
    "reasoning": "reasoning_summary_text",
    "tool_call": "function_call_arguments",
}
"""The events of each kind of piece; redacted reasoning has none of its own."""


def _build_call(number: int, call: FakeToolCall, arguments: str, status: str) -> dict[str, Any]:
    return call_item(number, call.id, call.name, arguments, status)


def _build_part(piece: Piece, text: str, logprobs: list[Json] | None = None) -> Json | None:
    match piece.kind:
        case "content":
            return text_part(text, logprobs)
        case "refusal":
            return refusal_part(text)
        case "reasoning":
            return {"type": "summary_text", "text": text}
        case _:
            return None


def _describe(piece: Piece) -> dict[str, Any]:
    """Returns the index of the part in its item."""
    if piece.kind == "tool_call":
        return {}
    return {"summary_index" if piece.kind == "reasoning" else "content_index": 0}


def _logprobs(piece: Piece) -> list[Json]:
    if piece.logprob is None:
        return []
    return [{"token": piece.text, "logprob": piece.logprob, "bytes": list(piece.text.encode()), "top_logprobs": []}]
