"""`ReceivedAnswer`: an answer as a caller receives it, however its deltas were grouped."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2
from tests.support.factories import a_wire_request
from tests.support.opaque_values import remove_mark


@dataclass
class ReceivedAnswer:
    """Everything that a caller gets of an answer, with its deltas joined."""

    order: list[str] = field(default_factory=list)
    """The kinds of its parts in order; a call is named by its index."""
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    signatures: list[str] = field(default_factory=list)
    redacted: list[bytes] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    """Id, name, arguments and signature of each call; an id that the server made is left out."""
    logprobs: list[dict[str, Any]] = field(default_factory=list)
    finish: str = ""
    word: str = ""
    """The provider's own word for the finish reason."""
    usage: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    """The reason of a failure."""
    http_status: str = ""
    """The HTTP status of a failure."""
    interruption: interruption_pb2.Interruption | None = None
    """The progress before a failure, without the response id and the last sequence."""

    def record(self, event: events_pb2.StreamCompleteResponse) -> None:
        """Records one event."""
        match event.WhichOneof("kind"):
            case "content_delta":
                self._record_content(event.content_delta)
            case "reasoning_delta":
                self._record_reasoning(event.reasoning_delta)
            case "tool_call_delta":
                self._record_call(event.tool_call_delta)
            case "completed":
                name = completion_pb2.FinishReason.Name(event.completed.finish_reason)
                self.finish = name.removeprefix("FINISH_REASON_")
                self.word = event.completed.provider_finish_reason
                self.usage = MessageToDict(event.completed.model_calls[0].usage)

    def summary(self) -> dict[str, Any]:
        """Returns the parts that are not empty; `tokens` only where the provider counted them."""
        names = ("reasoning", "signatures", "redacted", "text", "refusal", "calls", "error")
        parts = {name: value for name in names if (value := getattr(self, name))}
        if self.finish:
            parts["ended"] = f"{self.finish} {self.word}"
        if self.usage.get("source") == "USAGE_SOURCE_PROVIDER":
            parts["tokens"] = [int(self.usage.get(name, 0)) for name in ("inputTokens", "outputTokens")]
        return parts

    def _record_content(self, delta: events_pb2.ContentDelta) -> None:
        self._record_kind("refusal" if delta.refusal else "text")
        if delta.refusal:
            self.refusal += delta.text
        else:
            self.text += delta.text
        self.signatures += [remove_mark(delta.signature)] if delta.signature else []
        self.logprobs += [MessageToDict(logprob) for logprob in delta.logprobs]

    def _record_reasoning(self, delta: events_pb2.ReasoningDelta) -> None:
        if delta.WhichOneof("form") == "redacted":
            self._record_kind("redacted")
            self.redacted.append(remove_mark(delta.redacted.decode()).encode())
        else:
            self._record_kind("reasoning")
            self.reasoning += delta.text
        self.signatures += [remove_mark(delta.signature)] if delta.signature else []

    def _record_call(self, delta: events_pb2.ToolCallDelta) -> None:
        self._record_kind(f"call {delta.index}")
        if delta.index == len(self.calls):
            self.calls.append([re.sub(r"^call_[0-9a-f]{32}$", "", delta.call_id), delta.name, "", ""])
        self.calls[delta.index][2] += delta.arguments
        self.calls[delta.index][3] += remove_mark(delta.signature)

    def _record_kind(self, kind: str) -> None:
        if self.order[-1:] != [kind]:
            self.order.append(kind)


async def receive_answer(
    client: ReasoningClient, after_each: Callable[[], None] = lambda: None, text: str = "hi", **fields: Any
) -> ReceivedAnswer:
    """Makes a streamed call that includes the model's reasoning; `after_each` is called after every event."""
    request = a_wire_request(text, include=completion_pb2.IncludeOptions(reasoning=True), **fields)
    answer = ReceivedAnswer()
    try:
        async for event in client.stream(request):
            answer.record(event)
            after_each()
    except CallFailed as error:
        answer.error, answer.http_status = error.reason, error.metadata.get("http_status", "")
        answer.interruption = error.interruption
        if error.interruption is not None:
            error.interruption.ClearField("response_id")
            error.interruption.ClearField("last_sequence")
    return answer
