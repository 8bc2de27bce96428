"""Events of Anthropic's and of Google's own protocols, as their servers stream them; see `converse_events` too."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from tests.support.converse_events import is_converse_event
from tests.support.received import ReceivedAnswer, receive_answer
from tests.support.serving import RunningServer
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream

Json = dict[str, Any]

NATIVE_PROVIDERS: Final = ("anthropic", "gemini", "bedrock")
MARKS: Final = "ends with `data: [DONE]`, a line\u2028or\u2029two\u0085of text, data: {}\n\nevent: error"


START: Final[Json] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2},
    },
}
STOP: Final[Json] = {"type": "message_stop"}


def block(index: int, start: Json, *deltas: Json, end: bool = True) -> Iterator[Json]:
    """Yields the events of one block of Anthropic's."""
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    if end:
        yield {"type": "content_block_stop", "index": index}


def text_block(index: int, *texts: str) -> Iterator[Json]:
    """Yields the events of a block of text."""
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts))


def finish_event(word: str | None, **usage: Any) -> Json:
    """Returns the event with Anthropic's stop reason."""
    return {"type": "message_delta", "delta": {"stop_reason": word}, "usage": usage or {"output_tokens": 7}}


def anthropic_stream(*parts: Json | Iterable[Json]) -> list[Json]:
    """Returns a stream of Anthropic's from its start; blocks are given as events."""
    return [START, *(event for part in parts for event in ([part] if isinstance(part, dict) else part))]


def google_response(*parts: Any, word: str | None = None, **members: Any) -> Json:
    """Returns a response of Google's."""
    found: Json = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    return {"candidates": [found | ({"finishReason": word} if word else {})], **members}


def google_text(value: Any, **members: Any) -> Json:
    """Returns a text part of Google's."""
    return {"text": value, **members}


async def receive(upstream: FakeUpstream, native_server: RunningServer, *events: Json | str) -> ReceivedAnswer:
    """Returns these events as a caller receives them; the first one shows whose they are."""
    upstream.lines(*events)
    return await receive_answer(native_server.client(), model=find_provider(events[0]))


def find_provider(event: Json | str) -> str:
    """Returns the provider in whose protocol an event is, which is also the name of its model."""
    if isinstance(event, dict) and "type" in event:
        return "anthropic"
    return "bedrock" if isinstance(event, dict) and is_converse_event(event) else "gemini"


def anthropic_error(kind: str, message: str = UPSTREAM_SECRET) -> Json:
    """Returns an event of Anthropic's that reports an error."""
    return {"type": "error", "error": {"type": kind, "message": message}}


def google_error(code: int, status: str, message: str = UPSTREAM_SECRET) -> Json:
    """Returns an event of Google's that reports an error."""
    return {"error": {"code": code, "message": message, "status": status}}
