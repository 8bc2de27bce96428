"""Anthropic's Messages protocol: a message has content blocks, and each event has a name."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from .answers import Completion, Failure, Json, Piece
from .dialect import Dialect, status_of

_ERROR_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_TEXTS_BY_CODE: Final[Mapping[str, str]] = {
    "content_filter": "Output blocked by content filtering policy",
    "content_policy_violation": "Output blocked by content filtering policy",
    "context_length_exceeded": "prompt is too long: 9000 tokens > 8192 maximum",
    "insufficient_quota": "Your credit balance is too low to access the Anthropic API."
    " Please go to Plans & Billing to upgrade or purchase credits.",
    "invalid_api_key": "invalid x-api-key",
    "model_not_found": "model: fake",
    "rate_limit_exceeded": "This request would exceed your organization's rate limit of 50 requests per minute.",
    "unsupported_parameter": "top_k: Extra inputs are not permitted",
}
_STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def _event(data: Json) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


class Anthropic(Dialect):
    """POST /v1/messages, which Azure has under /anthropic."""

    base_path: ClassVar = ""
    path: ClassVar = re.compile(r"(?:/anthropic)?/v1/messages")
    done: ClassVar = _event({"type": "message_stop"})

    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields one delta each, after the start of the message, the end of a block and the start of the next one."""
        for number, piece in enumerate(completion.pieces()):
            before = b"" if number else self._opening(completion)
            if piece.begins:
                before += self._block_stop(piece.block - 1) if piece.block else b""
                before += self._on_block(piece.block, "start", content_block=_block_start(piece))
            deltas = [self._on_block(piece.block, "delta", delta=delta) for delta in _deltas(piece)]
            yield before + b"".join(deltas)

    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:  # noqa: ARG002
        """Yields the end of the last block, and the stop reason with the usage of the output."""
        blocks = [piece.block for piece in completion.pieces()]
        yield self._block_stop(blocks[-1]) if blocks else self._opening(completion)
        if completion.finish_reason is None:
            return
        delta = {"stop_reason": _stop_reason(completion), "stop_sequence": None}
        data: dict[str, Any] = {"type": "message_delta", "delta": delta}
        if completion.usage is not None:
            data["usage"] = None if completion.usage == "null" else _output_usage(completion)
        yield self.event(data)

    def whole(self, completion: Completion) -> bytes:
        """Returns a message."""
        message = _message(completion)
        message["content"] = list(_content(completion))
        message["stop_reason"] = _stop_reason(completion)
        if message.get("usage"):
            message["usage"] |= _output_usage(completion)
        return json.dumps({**message, **completion.extra}).encode()

    def failure(self, failure: Failure) -> Json:
        """Returns `{"type": "error", "error": {...}}`."""
        error_type = failure.error_type or _error_type(failure.status)
        error = {"type": error_type, "message": failure.text(_TEXTS_BY_CODE)}
        return {"type": "error", "error": error, "request_id": "req_fake"}

    def error_event(self, error: Json | None) -> bytes:
        """Returns the event of an error; its type is derived from the code, if there is one."""
        if error is None:
            return self.event({"type": "error", "error": None})
        known = isinstance(error.get("code"), int) or not error.get("type")
        error_type = _error_type(status_of(error)) if known else error["type"]
        return self.event({"type": "error", "error": {"type": error_type, "message": error.get("message")}})

    def event(self, data: Json) -> bytes:
        """Returns an event whose name is its type."""
        return _event(data)

    def _opening(self, completion: Completion) -> bytes:
        message = {**_message(completion), **completion.extra}
        return self.event({"type": "message_start", "message": message}) + self.event({"type": "ping"})

    def _on_block(self, block: int, what: str, **members: Any) -> bytes:
        return self.event({"type": f"content_block_{what}", "index": block, **members})

    def _block_stop(self, block: int) -> bytes:
        return self._on_block(block, "stop")


def _message(completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": completion.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    if completion.usage is not None:
        message["usage"] = None if completion.usage == "null" else {**_input_usage(completion), "output_tokens": 1}
    return message


def _block_start(piece: Piece) -> dict[str, Any]:
    if piece.call is not None:
        return {"type": "tool_use", "id": piece.call.id, "name": piece.call.name, "input": {}}
    if piece.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if piece.kind == "redacted":
        return {"type": "redacted_thinking", "data": piece.text}
    return {"type": "text", "text": ""}


def _deltas(piece: Piece) -> Iterator[dict[str, Any]]:
    if piece.kind == "tool_call":
        yield {"type": "input_json_delta", "partial_json": piece.text}
    elif piece.kind == "reasoning":
        yield {"type": "thinking_delta", "thinking": piece.text}
        if piece.signature:
            yield {"type": "signature_delta", "signature": piece.signature}
    elif piece.kind != "redacted":
        yield {"type": "text_delta", "text": piece.text}


def _content(completion: Completion) -> Iterator[dict[str, Any]]:
    if completion.reasoning:
        signature = completion.reasoning_signature or ""
        yield {"type": "thinking", "thinking": "".join(completion.reasoning), "signature": signature}
    for data in completion.redacted_reasoning:
        yield {"type": "redacted_thinking", "data": data}
    for text in ("".join(completion.content), completion.refusal):
        if text:
            yield {"type": "text", "text": text}
    for call in completion.tool_calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads("".join(call.pieces))}


def _stop_reason(completion: Completion) -> str | None:
    reason = completion.finish_reason
    if reason == "auto":
        reason = "tool_calls" if completion.tool_calls else "stop" if completion.refusal is None else "content_filter"
    return None if reason is None else _STOP_REASONS.get(reason, reason)


def _input_usage(completion: Completion) -> dict[str, Any]:
    read = completion.tokens("cached_tokens", "prompt_tokens_details")
    written = completion.tokens("cache_creation_tokens", "prompt_tokens_details")
    return {
        "input_tokens": completion.tokens("prompt_tokens") - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }


def _output_usage(completion: Completion) -> dict[str, Any]:
    thinking = completion.tokens("reasoning_tokens", "completion_tokens_details")
    details = {"output_tokens_details": {"thinking_tokens": thinking}} if thinking else {}
    return {"output_tokens": completion.tokens("completion_tokens"), **details}


def _error_type(status: int) -> str:
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
