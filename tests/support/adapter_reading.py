"""What the adapter reads of one answer, without a server: to compare our reader with litellm's on the same answer."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from reasoning_grpc.domain import Deployment, FinishReason, Usage
from reasoning_grpc.domain.errors import ReasoningError
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, TokenLogprob, ToolCallDelta
from reasoning_grpc.litellm_model import convert_failure
from reasoning_grpc.litellm_model.provider_call import ProviderCall
from tests.support.upstream import FakeUpstream


@dataclass
class Reading:
    """All that was read of an answer, with its deltas joined."""

    order: list[str] = field(default_factory=list)
    """The kinds of its parts in order; a call is named by its index."""
    text: str = ""
    refusal: str = ""
    reasoning: str = ""
    signatures: list[str] = field(default_factory=list)
    redacted: list[bytes] = field(default_factory=list)
    calls: list[list[str]] = field(default_factory=list)
    """Id, name, arguments and signature of each call; an id that we made is left out."""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    word: str = ""
    usage: Usage | None = None
    error: str = ""

    def record(self, delta: Delta) -> None:
        """Records one delta."""
        match delta:
            case ContentDelta():
                self._record_content(delta)
            case ReasoningDelta(redacted=redacted) if redacted:
                self._record_kind("redacted")
                self.redacted.append(redacted)
            case ReasoningDelta():
                self._record_kind("reasoning")
                self.reasoning += delta.text
                self.signatures += [delta.signature] if delta.signature else []
            case ToolCallDelta():
                self._record_call(delta)

    def _record_content(self, delta: ContentDelta) -> None:
        self._record_kind("refusal" if delta.refusal else "text")
        if delta.refusal:
            self.refusal += delta.text
        else:
            self.text += delta.text
        self.signatures += [delta.signature] if delta.signature else []
        self.logprobs += delta.logprobs

    def _record_call(self, delta: ToolCallDelta) -> None:
        self._record_kind(f"call {delta.index}")
        if delta.index == len(self.calls):
            self.calls.append([re.sub(r"^call_[0-9a-f]{28,32}$", "", delta.call_id), delta.name, "", ""])
        self.calls[delta.index][2] += delta.arguments
        self.calls[delta.index][3] += delta.signature

    def _record_kind(self, kind: str) -> None:
        if self.order[-1:] != [kind]:
            self.order.append(kind)


def play(upstream: FakeUpstream, path: Path) -> None:
    """Lets the upstream answer the next call with a recording."""
    content_type = "application/json" if path.suffix == ".json" else "text/event-stream"
    upstream.body(path.read_bytes(), content_type=content_type)


async def read_answer(call: ProviderCall, deployment: Deployment) -> Reading:
    """Makes a call, and returns what it reads. A failure is part of it."""
    reading = Reading()
    try:
        await call.open()
        while (deltas := await call.next_deltas()) is not None:
            for delta in deltas:
                reading.record(delta)
    except Exception as exc:
        error = convert_failure(exc, deployment, is_upstream_reached=True)
        if not isinstance(error, ReasoningError):
            raise
        reading.error = error.reason
    finally:
        await call.aclose()
    reading.finish_reason, reading.word = call.reader.finish_reason, call.reader.provider_finish_reason
    reading.usage = call.reader.build_usage(estimated_input_tokens=1)
    return reading
