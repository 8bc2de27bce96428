"""Bedrock's Converse API: each event is a binary message whose name stands in its headers."""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from zlib import crc32

from .answers import Completion, Failure, Json, Piece
from .dialect import Dialect, inflate, pack_bomb, status_of

EXCEPTIONS: Final[Mapping[int, str]] = {
    400: "validationException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    500: "internalServerException",
    503: "serviceUnavailableException",
}
"""The exceptions of a stream, by the HTTP status that Amazon's model of the service gives them."""
_TEXTS_BY_CODE: Final[Mapping[str, str]] = {
    "context_length_exceeded": "Input is too long for requested model.",
    "insufficient_quota": "Too many tokens per day, please wait before trying again.",
    "invalid_api_key": "The security token included in the request is invalid.",
    "model_not_found": "The provided model identifier is invalid.",
    "rate_limit_exceeded": "Too many requests, please wait before trying again.",
    "unsupported_parameter": "extraneous key [top_k] is not permitted, please reformat your input and try again.",
}
_STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}


def binary_message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Returns a message of Amazon's binary event stream, all of whose headers are texts."""
    encoded = b""
    for name, value in headers.items():
        encoded += struct.pack(f"!B{len(name)}sBH", len(name), name.encode(), 7, len(value.encode())) + value.encode()
    prelude = struct.pack("!II", len(encoded) + len(payload) + 16, len(encoded))
    message = prelude + struct.pack("!I", crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", crc32(message))


def event_message(name: str, payload: Any) -> bytes:
    """Returns the message of an event."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return binary_message(headers, json.dumps(payload).encode())


def exception_message(name: str, **payload: Any) -> bytes:
    """Returns the message of an exception."""
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return binary_message(headers, json.dumps(payload).encode())


class Bedrock(Dialect):
    """POST /model/MODEL/converse-stream, and /converse."""

    base_path: ClassVar = ""
    path: ClassVar = re.compile(r"/model/[^/]+/(converse|converse-stream|invoke-with-response-stream)")
    done: ClassVar = b""
    content_type: ClassVar = "application/vnd.amazon.eventstream"
    comment: ClassVar = event_message("heartbeat", {})

    def streams(self, path: str, request: Json) -> bool:  # noqa: ARG002
        """Returns whether the path is that of a stream."""
        return path.endswith("-stream")

    def pieces(self, completion: Completion) -> Iterator[bytes]:
        """Yields one delta each, after the start of the answer, the stop of a block and the start of a call."""
        for number, piece in enumerate(completion.pieces()):
            before = b"" if number else self._opening(completion)
            if piece.begins:
                before += _block_stop(piece.block - 1) if piece.block else b""
                before += _block_start(piece) if piece.call is not None else b""
            deltas = [_block_delta(piece.block, delta) for delta in _deltas(piece)]
            yield before + b"".join(deltas)

    def ending(self, completion: Completion, request: Json) -> Iterator[bytes]:  # noqa: ARG002
        """Yields the stop of the last block, the stop reason, and the usage."""
        blocks = [piece.block for piece in completion.pieces()]
        yield _block_stop(blocks[-1]) if blocks else self._opening(completion)
        if completion.finish_reason is None:
            return
        yield event_message("messageStop", {"stopReason": _stop_reason(completion), **_thinking(completion)})
        if completion.usage is not None:
            yield event_message("metadata", {"usage": _usage(completion), "metrics": {"latencyMs": 7}, "p": "abcd"})

    def whole(self, completion: Completion) -> bytes:
        """Returns the body of an answer that is not streamed."""
        message = {"role": "assistant", "content": list(_content(completion))}
        answer: dict[str, Any] = {"output": {"message": message}, "stopReason": _stop_reason(completion)}
        answer |= {"metrics": {"latencyMs": 7}, **_thinking(completion)}
        if completion.usage is not None:
            answer["usage"] = _usage(completion)
        return json.dumps({**answer, **completion.extra}).encode()

    def failure(self, failure: Failure) -> Json:
        """Returns `{"message": ...}`."""
        return {"message": failure.text(_TEXTS_BY_CODE)}

    def error_event(self, error: Json | None) -> bytes:
        """Returns an exception; its name is derived from the code, or is the type if there is no code."""
        if error is None:
            return exception_message("")
        known = isinstance(error.get("code"), int) or not error.get("type")
        name = EXCEPTIONS.get(status_of(error), "internalServerException") if known else error["type"]
        return exception_message(name, message=error.get("message"))

    def event(self, data: Json) -> bytes:
        """Returns the message for an object whose only member is a payload, under the name of its event."""
        ((name, payload),) = data.items()
        return exception_message(name, **payload) if name.endswith("Exception") else event_message(name, payload)

    def gzip_bomb(self, megabytes: int, event_megabytes: int, *, stream: bool) -> bytes:
        """Returns a small gzip body that expands to this much text; each message has a checksum of its own."""
        if not stream:
            return pack_bomb(inflate(self.whole(Completion(content=("@",))), megabytes))
        sample = Completion(content=("",), usage=None)
        message = _inflate_message(_block_delta(0, {"text": "@"}), event_megabytes)
        opening = b"".join(self.pieces(sample))
        return pack_bomb([opening, *message * (megabytes // event_megabytes), *self.ending(sample, {})])

    def _opening(self, completion: Completion) -> bytes:
        return event_message("messageStart", {"role": "assistant", "p": "abcdefghijk", **completion.extra})


def _inflate_message(message: bytes, megabytes: int) -> list[bytes]:
    """Returns the parts of a message in which this many megabytes stand at the place of the @."""
    length, headers_length = struct.unpack_from("!II", message)
    prelude = struct.pack("!II", length - 1 + 2**20 * megabytes, headers_length)
    parts = inflate(message[12:-4], megabytes)
    parts[0] = prelude + struct.pack("!I", crc32(prelude)) + parts[0]
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    return [*parts, struct.pack("!I", checksum)]


def _block_start(piece: Piece) -> bytes:
    assert piece.call is not None
    start = {"toolUse": {"toolUseId": piece.call.id, "name": piece.call.name}}
    return event_message("contentBlockStart", {"start": start, "contentBlockIndex": piece.block})


def _block_delta(block: int, delta: Json) -> bytes:
    return event_message("contentBlockDelta", {"contentBlockIndex": block, "delta": delta, "p": "abcdef"})


def _block_stop(block: int) -> bytes:
    return event_message("contentBlockStop", {"contentBlockIndex": block, "p": "ab"})


def _deltas(piece: Piece) -> Iterator[Json]:
    match piece.kind:
        case "tool_call":
            yield {"toolUse": {"input": piece.text}}
        case "reasoning":
            yield {"reasoningContent": {"text": piece.text}}
            if piece.signature:
                yield {"reasoningContent": {"signature": piece.signature}}
        case "redacted":
            yield {"reasoningContent": {"redactedContent": piece.text}}
        case _:
            yield {"text": piece.text}


def _content(completion: Completion) -> Iterator[Json]:
    if completion.reasoning:
        signature = {"signature": completion.reasoning_signature} if completion.reasoning_signature else {}
        yield {"reasoningContent": {"reasoningText": {"text": "".join(completion.reasoning), **signature}}}
    for data in completion.redacted_reasoning:
        yield {"reasoningContent": {"redactedContent": data}}
    for text in ("".join(completion.content), completion.refusal):
        if text:
            yield {"text": text}
    for call in completion.tool_calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": json.loads("".join(call.pieces))}}


def _stop_reason(completion: Completion) -> str | None:
    reason = completion.finish_reason
    if reason == "auto":
        reason = "tool_calls" if completion.tool_calls else "stop" if completion.refusal is None else "content_filter"
    return None if reason is None else _STOP_REASONS.get(reason, reason)


def _usage(completion: Completion) -> Json | None:
    """Returns the usage; the input does not contain what was read from or written to the cache, and the total does."""
    if completion.usage == "null":
        return None
    read = completion.tokens("cached_tokens", "prompt_tokens_details")
    written = completion.tokens("cache_creation_tokens", "prompt_tokens_details")
    prompt, output = completion.tokens("prompt_tokens"), completion.tokens("completion_tokens")
    return {
        "inputTokens": prompt - read - written,
        "outputTokens": output,
        "totalTokens": prompt + output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }


def _thinking(completion: Completion) -> Json:
    """Returns the member with the tokens of thinking, which the usage does not have."""
    thinking = completion.tokens("reasoning_tokens", "completion_tokens_details")
    fields = {"usage": {"output_tokens_details": {"thinking_tokens": thinking}}}
    return {"additionalModelResponseFields": fields} if thinking else {}
