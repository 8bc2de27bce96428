"""What the OpenAI chat protocol looks like on the wire: events, chunks, whole completions, errors."""

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = Mapping[str, Any]

DONE: Final = b"data: [DONE]\n\n"
DEFAULT_PIECES: Final = ("Hello", " world")
DEFAULT_USAGE: Final[Json] = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
UPSTREAM_SECRET: Final = "upstream-secret-7f3a"
"""Found in every default error text; it must never reach a caller, a log or a span."""

DEFAULT_ERROR: Final[Json] = {
    "message": f"The server had an error ({UPSTREAM_SECRET})",
    "type": "server_error",
    "param": None,
    "code": 500,
}

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


@dataclass(frozen=True)
class FakeToolCall:
    """A tool call of the answer; its first delta carries id, name and the first piece of the arguments."""

    id: str
    name: str
    arguments: str | Sequence[str] = "{}"
    """One string is one delta, several are as many."""
    indexed: bool = True
    """Some servers leave `index` out of the deltas."""

    def deltas(self, index: int) -> Iterator[dict[str, Any]]:
        """The `delta` objects of this call, which is the index-th of its message."""
        first, *later = self._pieces()
        position = {"index": index} if self.indexed else {}
        opening = {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": first}}
        yield {"tool_calls": [position | opening]}
        for piece in later:
            yield {"tool_calls": [position | {"function": {"arguments": piece}}]}

    def whole(self) -> dict[str, Any]:
        """The call as it stands in a completion that is not streamed."""
        function = {"name": self.name, "arguments": "".join(self._pieces())}
        return {"id": self.id, "type": "function", "function": function}

    def _pieces(self) -> tuple[str, ...]:
        return (self.arguments,) if isinstance(self.arguments, str) else tuple(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A well-formed answer, streamed or whole. In order: reasoning, content, refusal, tool calls, finish, usage."""

    content: Sequence[str] = ()
    reasoning: Sequence[str] = ()
    refusal: str | None = None
    tool_calls: Sequence[FakeToolCall] = ()
    finish_reason: str | None = "auto"
    """"auto" is "tool_calls" if there are any, else "stop"; None sends no finish chunk."""
    usage: Json | Literal["null"] | None = field(default_factory=lambda: DEFAULT_USAGE)
    """Sent last, if the request asked for it; "null" sends `"usage": null`, None nothing at all."""
    logprobs: Sequence[float] | None = None
    """One number for each content piece."""
    model: str = "fake"
    reasoning_field: str = "reasoning_content"
    extra: Json = field(default_factory=dict)
    """Added to every chunk, or to the completion; may overwrite, such as `id`."""

    def pieces(self) -> Iterator[bytes]:
        """The events that carry the answer; the first one names the role too."""
        for number, (delta, logprobs) in enumerate(self._deltas()):
            role = {"role": "assistant"} if number == 0 else {}
            yield event(self._chunk(role | delta, logprobs=logprobs))

    def ending(self, request: Json) -> Iterator[bytes]:
        """The events after the answer, without [DONE]."""
        if self.finish_reason is not None:
            yield event(self._chunk({}, finish_reason=self._finish_reason()))
        wanted = (request.get("stream_options") or {}).get("include_usage")
        if self.usage is not None and wanted:
            yield event(usage_chunk(self._usage(), model=self.model, **self.extra))

    def whole(self) -> bytes:
        """The body of the same answer to a request that does not stream."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.content) if self.content else None}
        if self.reasoning:
            message[self.reasoning_field] = "".join(self.reasoning)
        if self.refusal is not None:
            message["refusal"] = self.refusal
        if self.tool_calls:
            message["tool_calls"] = [call.whole() for call in self.tool_calls]
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": self._finish_reason()}
        if self.logprobs is not None:
            tokens = zip(self.content, self.logprobs, strict=True)
            choice["logprobs"] = {"content": [_logprob(*token) for token in tokens], "refusal": None}
        completion = {**_HEAD, "object": "chat.completion", "model": self.model, "choices": [choice]}
        if self.usage is not None:
            completion["usage"] = self._usage()
        return json.dumps({**completion, **self.extra}).encode()

    def _deltas(self) -> Iterator[tuple[dict[str, Any], Json | None]]:
        for piece in self.reasoning:
            yield {self.reasoning_field: piece}, None
        for position, piece in enumerate(self.content):
            known = self.logprobs and {"content": [_logprob(piece, self.logprobs[position])], "refusal": None}
            yield {"content": piece}, known or None
        if self.refusal is not None:
            yield {"refusal": self.refusal}, None
        for index, call in enumerate(self.tool_calls):
            for delta in call.deltas(index):
                yield delta, None

    def _chunk(self, delta: Json, finish_reason: str | None = None, logprobs: Json | None = None) -> dict[str, Any]:
        return chunk(delta, finish_reason, logprobs, model=self.model, **self.extra)

    def _finish_reason(self) -> str | None:
        if self.finish_reason == "auto":
            return "tool_calls" if self.tool_calls else "stop"
        return self.finish_reason

    def _usage(self) -> Json | None:
        return None if self.usage == "null" else dict(self.usage or {})


def event(data: Json) -> bytes:
    """One SSE event with `data` as JSON."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunk(
    delta: Json, finish_reason: str | None = None, logprobs: Json | None = None, **members: Any
) -> dict[str, Any]:
    """A chat.completion.chunk with one choice; `members` are added to its outermost object."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
    return {**_HEAD, "object": "chat.completion.chunk", "model": "fake", "choices": [choice], **members}


def usage_chunk(usage: Json | None, choices: Sequence[Json] = (), **members: Any) -> dict[str, Any]:
    """The chunk after the finish; a LiteLLM proxy sends it with `choices=[{"delta": {}}]`."""
    body = {**_HEAD, "object": "chat.completion.chunk", "model": "fake", "choices": list(choices), "usage": usage}
    return {**body, **members}


def numbered(count: int) -> tuple[str, ...]:
    """`count` pieces of text, no two alike: "word0 ", "word1 ", and so on."""
    return tuple(f"word{number} " for number in range(count))


def error_object(status: int, code: str | None, error_type: str | None, message: str | None) -> dict[str, Any]:
    """The error a provider would answer; what is None follows from the code, or else from the status."""
    by_status = "server_error" if status >= 500 else "invalid_request_error"
    default_type, text = _ERRORS_BY_CODE.get(
        code or "", (_ERROR_TYPES.get(status, by_status), f"The request failed with {status}.")
    )
    return {
        "message": f"{text} ({UPSTREAM_SECRET})" if message is None else message,
        "type": error_type or default_type,
        "param": None,
        "code": code,
    }


def gzip_bomb(megabytes: int, event_megabytes: int, *, stream: bool) -> bytes:
    """A small gzip body: valid JSON, or SSE in events of the given size, that expands to `megabytes` of text."""
    count, size = (megabytes // event_megabytes, event_megabytes) if stream else (1, megabytes)
    whole = event(chunk({"content": "@"})) if stream else Completion(content=("@",)).whole()
    head, tail = whole.split(b"@")
    text = b"x" * 2**20
    ending = event(chunk({}, "stop")) + DONE if stream else b""
    plain = [head, *[text] * size, tail] * count + [ending]

    # A block that ends in a full flush refers to nothing outside itself: packed once, it may be repeated.
    packed = {part: _flushed(part) for part in {head, text, tail, ending}}
    checksum = length = 0
    for part in plain:
        checksum, length = zlib.crc32(part, checksum), length + len(part)
    last = b"\x03\x00"  # an empty final deflate block
    trailer = checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"".join(packed[part] for part in plain) + last + trailer


def _flushed(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def _logprob(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": []}
