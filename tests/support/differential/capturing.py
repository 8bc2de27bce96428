"""`CapturingUpstream`: answers every provider's protocol with a few words, and keeps each request by its id."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from aiohttp import web

from tests.support.upstream.bedrock import event_message

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A request that arrived."""

    path: str
    body: Any
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class CapturingUpstream:
    """An HTTP server on a free port of the loopback; several requests may be in progress."""

    def __init__(self) -> None:
        self._captured: dict[str, list[Captured]] = {}

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port: int = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def take(self, request_id: str) -> list[Captured]:
        """Returns what arrived for a request of ours, and forgets it."""
        return self._captured.pop(request_id, [])

    async def _answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        captured = Captured(
            path=request.path,
            body=json.loads(raw) if raw else None,
            query=request.query_string,
            headers=request.headers,
        )
        self._captured.setdefault(request.headers.get("X-Client-Request-Id", ""), []).append(captured)
        body, content_type = _choose_answer(request.path, captured.body)
        return web.Response(body=body, headers={"Content-Type": content_type})


def _choose_answer(path: str, body: Any) -> tuple[bytes, str]:
    if path.endswith("/messages"):
        return _ANTHROPIC, "text/event-stream"
    if path.endswith(":streamGenerateContent"):
        return _GEMINI, "text/event-stream"
    if path.endswith("/converse-stream"):
        return _BEDROCK, "application/vnd.amazon.eventstream"
    if path.endswith("/responses"):
        stream = (_RESPONSES, "text/event-stream")
        return stream if body.get("stream") else (json.dumps(_COMPLETED).encode(), "application/json")
    if path.endswith("/converse"):
        return _BEDROCK_WHOLE, "application/json"
    if path.endswith("/api/chat"):
        return (_OLLAMA if body.get("stream") else _OLLAMA.splitlines()[-1]), "application/x-ndjson"
    if path.endswith("/api/show"):
        return _OLLAMA_MODEL, "application/json"
    return (_OPENAI, "text/event-stream") if body.get("stream") else (_OPENAI_WHOLE, "application/json")


def _events(*data: Json | str, named: bool = False) -> bytes:
    lines = []
    for each in data:
        name = f"event: {each['type']}\n" if named and isinstance(each, dict) else ""
        lines.append(f"{name}data: {each if isinstance(each, str) else json.dumps(each)}\n\n")
    return "".join(lines).encode()


_USAGE: Final = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
_CHUNK: Final = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
_OPENAI: Final = _events(
    {**_CHUNK, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": None}]},
    {**_CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**_CHUNK, "choices": [], "usage": _USAGE},
    "[DONE]",
)
_OPENAI_WHOLE: Final = json.dumps(
    {
        **_CHUNK,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": _USAGE,
    }
).encode()
_ANTHROPIC: Final = _events(
    {
        "type": "message_start",
        "message": {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
    named=True,
)
_GEMINI: Final = _events(
    {
        "candidates": [{"content": {"parts": [{"text": "ok"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 4},
    }
)
_OLLAMA: Final = b"\n".join(
    json.dumps({"model": "m", "created_at": "2026-11-29T00:00:00Z", **each}).encode()
    for each in (
        {"message": {"role": "assistant", "content": "ok"}, "done": False},
        {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 3,
            "eval_count": 1,
        },
    )
)
_OLLAMA_MODEL: Final = json.dumps({"model_info": {}, "template": "", "capabilities": ["tools"]}).encode()
_BEDROCK: Final = b"".join(
    (
        event_message("messageStart", {"role": "assistant"}),
        event_message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ok"}}),
        event_message("contentBlockStop", {"contentBlockIndex": 0}),
        event_message("messageStop", {"stopReason": "end_turn"}),
        event_message("metadata", {"usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}, "metrics": {}}),
    )
)
_BEDROCK_WHOLE: Final = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "ok"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4},
        "metrics": {"latencyMs": 1},
    }
).encode()
_RESPONSE: Final[Json] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "m",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
}
_ITEM: Final[Json] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "ok", "annotations": []}],
}
_COMPLETED: Final[Json] = _RESPONSE | {
    "status": "completed",
    "output": [_ITEM],
    "usage": {
        "input_tokens": 3,
        "output_tokens": 1,
        "total_tokens": 4,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
_RESPONSES: Final = _events(
    {"type": "response.created", "sequence_number": 0, "response": _RESPONSE | {"status": "in_progress"}},
    {
        "type": "response.output_item.added",
        "sequence_number": 1,
        "output_index": 0,
        "item": _ITEM | {"status": "in_progress", "content": []},
    },
    {
        "type": "response.output_text.delta",
        "sequence_number": 2,
        "output_index": 0,
        "content_index": 0,
        "item_id": "msg_1",
        "delta": "ok",
    },
    {"type": "response.output_item.done", "sequence_number": 3, "output_index": 0, "item": _ITEM},
    {
        "type": "response.completed",
        "sequence_number": 4,
        "response": _COMPLETED,
    },
    named=True,
)
