"""The OpenAI chat protocol: chunks, completions and errors. Signatures have the place that a LiteLLM proxy uses."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

from .answers import Completion, Failure, FakeToolCall, Json, Piece
from .dialect import Dialect

DONE: Final = b"data: [DONE]\n\n"

_HEAD: Final[Json] = {"id": "chatcmpl-fake", "created": 1_700_000_000}

_ERROR_TYPES: Final[Mapping[int, str]] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_ERRORS_BY_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "budget_exceeded": ("budget_exceeded", "Budget has been exceeded! Current cost: 10.0, Max budget: 5.0"),
    "content_filter": (
        "invalid_request_error",
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    ),
    "content_policy_violation": (
        "invalid_request_error",
        "Your request was rejected as a result of our safety system.",
    ),
    "context_length_exceeded": (
        "invalid_request_error",
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    ),
    "insufficient_quota": (
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "invalid_api_key": ("invalid_request_error", "Incorrect API key provided."),
    "model_not_found": ("invalid_request_error", "The model does not exist or you do not have access to it."),
    "no_db_connection": ("no_db_connection", "No connected db."),
    "rate_limit_exceeded": ("requests", "Rate limit reached for requests per min."),
    "unsupported_parameter": ("invalid_request_error", "Unsupported parameter for this model."),
}


class OpenAI(Dialect):
    """POST /v1/chat/completions."""

    base_path: ClassVar = "/v1"
    path: ClassVar = re.compile(r"/v1/chat/completions")
    done: ClassVar = DONE

    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields one chunk each; the first one also has the role."""
        for number, piece in enumerate(completion.pieces()):
            role = {"role": "assistant"} if number == 0 else {}
            logprobs = None
            if piece.logprob is not None:
                logprobs = {"content": [_logprob(piece.text, piece.logprob)], "refusal": None}
            yield self.event(_chunk(completion, role | _delta(piece, completion.reasoning_field), logprobs=logprobs))

    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:
        """Yields the finish, and the usage if the request asks for it."""
        if completion.finish_reason is not None:
            yield self.event(_chunk(completion, {}, finish_reason=_finish_reason(completion)))
        wanted = (request.get("stream_options") or {}).get("include_usage")
        if completion.usage is not None and wanted:
            yield self.event(usage_chunk(_usage(completion), model=completion.model, **completion.extra))

    def whole(self, completion: Completion) -> bytes:
        """Returns a chat.completion."""
        content = tuple(completion.content)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(content) if content else None}
        if completion.reasoning:
            message[completion.reasoning_field] = "".join(completion.reasoning)
        if blocks := _thinking_blocks(completion):
            message["thinking_blocks"] = blocks
        if completion.refusal is not None:
            message["refusal"] = completion.refusal
        if completion.tool_calls:
            message["tool_calls"] = [_whole_call(call) for call in completion.tool_calls]
            message["tool_calls"][0] |= _signed(completion.tool_signature)
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": _finish_reason(completion)}
        if completion.logprobs is not None:
            tokens = zip(content, completion.logprobs, strict=True)
            choice["logprobs"] = {"content": [_logprob(*token) for token in tokens], "refusal": None}
        body = {**_HEAD, "object": "chat.completion", "model": completion.model, "choices": [choice]}
        if completion.usage is not None:
            body["usage"] = _usage(completion)
        return json.dumps({**body, **completion.extra}).encode()

    def failure(self, failure: Failure) -> Json:
        """Returns `{"error": {...}}`."""
        by_status = "server_error" if failure.status >= 500 else "invalid_request_error"
        default_type = _ERROR_TYPES.get(failure.status, by_status)
        if failure.code is not None and failure.code in _ERRORS_BY_CODE:
            default_type = _ERRORS_BY_CODE[failure.code][0]
        error = {
            "message": failure.text({code: text for code, (_, text) in _ERRORS_BY_CODE.items()}),
            "type": failure.error_type or default_type,
            "param": None,
            "code": failure.code,
        }
        return {"error": error}

    def error_event(self, error: Json | None) -> bytes:
        """Returns the event of an error, which is sent unchanged."""
        return self.event({"error": error})


class Azure(OpenAI):
    """POST /openai/deployments/NAME/chat/completions."""

    base_path: ClassVar = ""
    path: ClassVar = re.compile(r"/openai/deployments/[^/]+/chat/completions")


def chunk(
    delta: Json, finish_reason: str | None = None, logprobs: Json | None = None, **members: Any
) -> dict[str, Any]:
    """Returns a chat.completion.chunk with one choice; `members` are added to its outermost object."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
    return {**_HEAD, "object": "chat.completion.chunk", "model": "fake", "choices": [choice], **members}


def usage_chunk(usage: Json | None, choices: Sequence[Json] = (), **members: Any) -> dict[str, Any]:
    """Returns the chunk after the finish; a LiteLLM proxy sends it with `choices=[{"delta": {}}]`."""
    body = {**_HEAD, "object": "chat.completion.chunk", "model": "fake", "choices": list(choices), "usage": usage}
    return {**body, **members}


def _chunk(
    completion: Completion, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None
) -> dict[str, Any]:
    return chunk(delta, finish_reason, logprobs, model=completion.model, **completion.extra)


def _delta(piece: Piece, reasoning_field: str) -> dict[str, Any]:
    if piece.kind == "reasoning":
        signed = {"type": "thinking", "thinking": "", "signature": piece.signature}
        return {reasoning_field: piece.text} | ({"thinking_blocks": [signed]} if piece.signature else {})
    if piece.kind == "redacted":
        return {"thinking_blocks": [{"type": "redacted_thinking", "data": piece.text}]}
    if piece.call is None:
        return {piece.kind: piece.text}
    call: dict[str, Any] = {"index": piece.call_index} if piece.call.indexed else {}
    if not piece.begins:
        return {"tool_calls": [call | {"function": {"arguments": piece.text}}]}
    function = {"name": piece.call.name, "arguments": piece.text}
    opening = {"id": piece.call.id, "type": "function", "function": function}
    return {"tool_calls": [call | opening | _signed(piece.signature)]}


def _whole_call(call: FakeToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": "".join(call.pieces)}}


def _signed(signature: str | None) -> dict[str, Any]:
    return {"provider_specific_fields": {"thought_signature": signature}} if signature else {}


def _thinking_blocks(completion: Completion) -> list[dict[str, Any]]:
    text, signature = "".join(completion.reasoning), completion.reasoning_signature
    signed = [{"type": "thinking", "thinking": text, "signature": signature}] if signature else []
    return signed + [{"type": "redacted_thinking", "data": data} for data in completion.redacted_reasoning]


def _finish_reason(completion: Completion) -> str | None:
    if completion.finish_reason == "auto":
        return "tool_calls" if completion.tool_calls else "stop"
    return completion.finish_reason


def _usage(completion: Completion) -> Json | None:
    return None if completion.usage == "null" else dict(completion.usage or {})


def _logprob(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
