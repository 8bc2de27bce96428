"""An answer as a caller hears it, however its pieces were grouped."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2, usage_pb2
from tests.support.factories import a_wire_request


@dataclass
class Heard:
    """All that a caller gets of an answer, its pieces put together."""

    order: list[str] = field(default_factory=list)
    """The kinds of its parts, a call by its index."""
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    signatures: list[str] = field(default_factory=list)
    redacted: list[bytes] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    """Id, name, arguments and signature of each; an id that we made counts as none."""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: str = ""
    word: str = ""
    """The provider's own, for the finish."""
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    """The reason of a failure."""
    http_status: str = ""
    """Of a failure."""
    interruption: interruption_pb2.Interruption | None = None
    """Of a failure, but for the id and the number of events."""

    def add(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Takes one event."""
        match event.WhichOneof("kind"):
            case "content_delta":
                self._add_content(event.content_delta)
            case "reasoning_delta":
                self._add_reasoning(event.reasoning_delta)
            case "tool_call_delta":
                self._add_call(event.tool_call_delta)
            case "completed":
                self.finish = usage_pb2.FinishReason.Name(event.completed.finish_reason).removeprefix("FINISH_REASON_")
                self.word = event.completed.provider_finish_reason
                self.usage = MessageToDict(event.completed.usage.model_calls[0])
                del self.usage["model"]

    def summary(self) -> dict[str, Any]:
        """What was said, as little as there is; `tokens` only where the provider counted them."""
        parts = ("reasoning", "signatures", "redacted", "text", "refusal", "calls", "error")
        said = {name: value for name in parts if (value := getattr(self, name))}
        if self.finish:
            said["ended"] = f"{self.finish} {self.word}"
        if self.usage.get("source") == "USAGE_SOURCE_PROVIDER":
            said["tokens"] = [int(self.usage.get(name, 0)) for name in ("inputTokens", "outputTokens")]
        return said

    def _add_content(self, delta: events_pb2.ContentDelta) -> None:
        self._note("refusal" if delta.refusal else "text")
        if delta.refusal:
            self.refusal += delta.text
        else:
            self.text += delta.text
        self.logprobs += [MessageToDict(logprob) for logprob in delta.logprobs]

    def _add_reasoning(self, delta: events_pb2.ReasoningDelta) -> None:
        if delta.WhichOneof("form") == "redacted":
            self._note("redacted")
            self.redacted.append(delta.redacted)
        else:
            self._note("reasoning")
            self.reasoning += delta.text
        self.signatures += [delta.signature] if delta.signature else []

    def _add_call(self, delta: events_pb2.ToolCallDelta) -> None:
        self._note(f"call {delta.index}")
        if delta.index == len(self.calls):
            self.calls.append([re.sub(r"^call_[0-9a-f]{32}$", "", delta.call_id), delta.name, "", ""])
        self.calls[delta.index][2] += delta.arguments
        self.calls[delta.index][3] += delta.signature

    def _note(self, kind: str) -> None:
        if self.order[-1:] != [kind]:
            self.order.append(kind)


async def hear(
    client: ReasoningClient, after_each: Callable[[], None] = lambda: None, text: str = "hi", **fields: Any
) -> Heard:
    """The answer to a streamed call that asks for the model's reasoning; `after_each` is called at every event."""
    request = a_wire_request(text, reasoning=completion_pb2.ReasoningOptions(include=True), **fields)
    answer = Heard()
    try:
        async for event in client.stream(request):
            answer.add(event)
            after_each()
    except CallFailed as error:
        answer.error, answer.http_status = error.reason, error.metadata.get("http_status", "")
        answer.interruption = error.interruption
        if error.interruption is not None:
            error.interruption.ClearField("response_id")
            error.interruption.ClearField("last_sequence")
    return answer
