"""Gemini's protocol: each event is a response with the next parts of the only candidate."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from .answers import Completion, Failure, FakeToolCall, Json, Piece
from .dialect import Dialect, status_of

_ERROR_STATUSES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_TEXTS_BY_CODE: Final[Mapping[str, str]] = {
    "context_length_exceeded": "The input token count (9000) exceeds the maximum number of tokens allowed (8192).",
    "insufficient_quota": "You exceeded your current quota, please check your plan and billing details.",
    "invalid_api_key": "API key not valid. Please pass a valid API key.",
    "model_not_found": "models/fake is not found for API version v1beta, or is not supported for generateContent.",
    "rate_limit_exceeded": "Resource has been exhausted (e.g. check quota).",
    "unsupported_parameter": 'Invalid JSON payload received. Unknown name "top_k": Cannot find field.',
}
_FINISH_REASONS: Final[Mapping[str, str]] = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}


class Gemini(Dialect):
    """POST /v1beta/models/MODEL:streamGenerateContent?alt=sse, and :generateContent."""

    base_path: ClassVar = "/v1beta"
    path: ClassVar = re.compile(r"/v1beta/models/[^/:]+:(streamG|g)enerateContent")
    done: ClassVar = b""

    def streams(self, path: str, request: Json) -> bool:  # noqa: ARG002
        """Returns whether the path is that of a stream."""
        return path.endswith(":streamGenerateContent")

    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields one part each; a tool call is complete in its first delta."""
        for piece in completion.pieces():
            if part := _part(piece):
                yield self.event(_response(completion, {"content": _content(part)}))

    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:  # noqa: ARG002
        """Yields the finish reason with an empty part, and the usage."""
        if completion.finish_reason is not None:
            yield self.event(_response(completion, _finish(completion, {"text": ""})))

    def whole(self, completion: Completion) -> bytes:
        """Returns one response with every part."""
        texts = {True: "".join(completion.reasoning), False: "".join((*completion.content, completion.refusal or ""))}
        parts = [_text(text, thought=thought) for thought, text in texts.items() if text]
        for index, call in enumerate(completion.tool_calls):
            parts.append(_call(call, completion.tool_signature if index == 0 else None))
        return json.dumps(_response(completion, _finish(completion, *parts))).encode()

    def failure(self, failure: Failure) -> Json:
        """Returns `{"error": {...}}`; Google answers a wrong key with status 400, if the script says so."""
        return {"error": _error(failure.status, failure.text(_TEXTS_BY_CODE), failure.error_type)}

    def error_event(self, error: Json | None) -> bytes:
        """Returns the event of an error; its status is derived from the code, or is the type if there is no code."""
        if error is None:
            return self.event({"error": None})
        told = None if isinstance(error.get("code"), int) else error.get("type")
        return self.event({"error": _error(status_of(error), error.get("message"), told)})

    def event(self, data: Json) -> bytes:
        """Returns one event; Google ends its lines with CR LF."""
        return f"data: {json.dumps(data)}\r\n\r\n".encode()


def _response(completion: Completion, candidate: Json) -> dict[str, Any]:
    response: dict[str, Any] = {"candidates": [{**candidate, "index": 0}]}
    if completion.usage is not None:
        response["usageMetadata"] = _usage(completion, finished="finishReason" in candidate)
    return {**response, "modelVersion": completion.model, "responseId": "resp-fake", **completion.extra}


def _finish(completion: Completion, *parts: dict[str, Any]) -> dict[str, Any]:
    reason = completion.finish_reason
    if reason == "auto":
        reason = "content_filter" if completion.refusal is not None else "stop"
    signature = {"thoughtSignature": completion.reasoning_signature} if completion.reasoning_signature else {}
    *earlier, last = parts or ({"text": ""},)
    finish = {} if reason is None else {"finishReason": _FINISH_REASONS.get(reason, reason)}
    return {"content": _content(*earlier, signature | last), **finish}


def _content(*parts: Json) -> dict[str, Any]:
    return {"parts": list(parts), "role": "model"}


def _part(piece: Piece) -> dict[str, Any] | None:
    if piece.call is not None:
        return _call(piece.call, piece.signature) if piece.begins else None
    return None if piece.kind == "redacted" else _text(piece.text, thought=piece.kind == "reasoning")


def _text(text: str, *, thought: bool) -> dict[str, Any]:
    return {"text": text, "thought": True} if thought else {"text": text}


def _call(call: FakeToolCall, signature: str | None) -> dict[str, Any]:
    identity = {"id": call.id} if call.id else {}
    function = {"name": call.name, "args": json.loads("".join(call.pieces)), **identity}
    return {"functionCall": function} | ({"thoughtSignature": signature} if signature else {})


def _usage(completion: Completion, *, finished: bool) -> dict[str, Any] | None:
    """Returns the usage, which Google sends with every event; before the last event it covers only the prompt."""
    if completion.usage == "null":
        return None
    prompt, cached = completion.tokens("prompt_tokens"), completion.tokens("cached_tokens", "prompt_tokens_details")
    usage = {"promptTokenCount": prompt, "totalTokenCount": prompt}
    usage |= {"cachedContentTokenCount": cached} if cached else {}
    if not finished:
        return usage
    output = completion.tokens("completion_tokens")
    thoughts = completion.tokens("reasoning_tokens", "completion_tokens_details")
    usage |= {"candidatesTokenCount": output - thoughts, "totalTokenCount": prompt + output}
    return usage | ({"thoughtsTokenCount": thoughts} if thoughts else {})


def _error(status: int, message: str | None, told: str | None) -> dict[str, Any]:
    by_status = "INTERNAL" if status >= 500 else "INVALID_ARGUMENT"
    return {"code": status, "message": message, "status": told or _ERROR_STATUSES.get(status, by_status)}
