"""The recorded answers of the promised prefixes, in tests/support/promised: one folder a prefix.

The recordings are written by hand after what the provider sends: `text`, `reasoning`, `calls` (two tool calls), and
`failing` (an error in the middle of an answer). Where models write their reasoning inside the text, that is `tagged`,
and another model of the prefix has `think_tags`. answers.toml says what a caller must get of each. It also has the
bodies of failed statuses, as `refused`, and says in `absent` why a recording is missing. The recordings of Bedrock are
in JSON, and become binary messages when they are read.

docs/providers.md has a table of what was recorded, written by scripts/promised_table.py. The `notes` of answers.toml
stand in its last column.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.domain import ThinkTags
from reasoning_grpc.litellm_model import PROMISED
from reasoning_grpc.v1 import completion_pb2
from tests.support.opaque_values import remove_marks
from tests.support.received import ReceivedAnswer
from tests.support.recordings import Recording, list_recordings, read_recording
from tests.support.serving import model_entry, provider_entry
from tests.support.upstream import DIALECTS, FakeUpstream

FOLDER: Final = Path(__file__).parent / "promised"
TAGGED: Final = "tagged"
KINDS: Final = ("text", "reasoning", "calls", "failing")
COMPLETE_KINDS: Final = ("text", "reasoning", TAGGED, "calls")
SHARED: Final[Mapping[str, str]] = {"custom_openai": "openai"}
"""Prefixes whose servers answer like those of another prefix."""

_COUNTS: Final = {
    "inputTokens": "input",
    "cachedInputTokens": "cached_input",
    "cacheWriteTokens": "cache_write",
    "longCacheWriteTokens": "long_cache_write",
    "audioInputTokens": "audio_input",
    "outputTokens": "output",
    "reasoningTokens": "reasoning",
}
"""The counts of `Usage`, with their names in answers.toml."""
_MADE_ID: Final = re.compile(r"call_[0-9a-f]{28,32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""The ids of calls that the server or litellm makes."""


@dataclass(frozen=True, slots=True)
class PrefixAnswers:
    """The recorded answers of one prefix."""

    prefix: str
    expected: Mapping[str, Any]
    """The content of answers.toml."""

    @property
    def folder(self) -> Path:
        """Returns the folder of the recordings."""
        return FOLDER / SHARED.get(self.prefix, self.prefix)

    @property
    def kinds(self) -> list[str]:
        """Returns the kinds that were recorded."""
        return list_recordings(self.folder)

    @property
    def notes(self) -> list[str]:
        """Returns sentences for the docs about the prefix itself; a prefix that shares a folder has none."""
        return [] if self.prefix in SHARED else list(self.expected.get("notes", ()))

    def name_model(self, kind: str) -> str:
        """Returns the name of the model that the recording of this kind is sent to."""
        return f"{self.prefix}-{TAGGED}" if kind == TAGGED else self.prefix

    def read(self, kind: str) -> Recording:
        """Reads the recording of this kind."""
        return read_recording(self.folder, kind)

    def build_entries(self, upstream: FakeUpstream) -> list[ModelEntry]:
        """Builds the entries of the models with this prefix, one of them for tagged reasoning if that was recorded."""
        entries = [self._build_entry(upstream, self.prefix)]
        if TAGGED in self.kinds:
            entries.append(self._build_entry(upstream, self.name_model(TAGGED), think_tags=ThinkTags.PAIR))
        return entries

    def _build_entry(self, upstream: FakeUpstream, name: str, **options: Any) -> ModelEntry:
        if self.prefix in DIALECTS:
            return provider_entry(upstream, self.prefix, name, **options)
        path = "" if PROMISED[self.prefix] == "Ollama" else "/v1"
        address = f"http://127.0.0.1:{upstream.port}{path}"
        return model_entry(address, name, litellm_model=f"{self.prefix}/fake", **options)


def read_answers(prefix: str) -> PrefixAnswers:
    """Reads the answers of a prefix."""
    file = FOLDER / SHARED.get(prefix, prefix) / "answers.toml"
    return PrefixAnswers(prefix, tomllib.loads(file.read_text("utf-8")))


def summarize_streamed(answer: ReceivedAnswer) -> dict[str, Any]:
    """Returns what a streamed answer says, as answers.toml has it."""
    summary = answer.summary() | {"usage": _summarize_usage(answer.usage)}
    summary.pop("tokens", None)
    summary["calls"] = [_shorten_call(*call) for call in answer.calls]
    if answer.http_status:
        summary["http_status"] = int(answer.http_status)
    return {name: value for name, value in summary.items() if value}


def summarize_response(response: completion_pb2.CompleteResponse) -> dict[str, Any]:
    """Returns what a whole answer says, as answers.toml has it."""
    parts = remove_marks(response.message).content
    word = completion_pb2.FinishReason.Name(response.finish_reason).removeprefix("FINISH_REASON_")
    calls = [(part.tool_call, part.signature) for part in parts if part.HasField("tool_call")]
    summary = {
        "reasoning": "".join(part.reasoning.text for part in parts),
        "signatures": [part.signature for part in parts if part.signature and not part.HasField("tool_call")],
        "text": "".join(part.text for part in parts),
        "calls": [_shorten_call(call.id, call.name, call.arguments, signature) for call, signature in calls],
        "ended": f"{word} {response.provider_finish_reason}",
        "usage": _summarize_usage(MessageToDict(response.model_calls[0].usage)),
    }
    return {name: value for name, value in summary.items() if value}


def _shorten_call(call_id: str, name: str, arguments: str, signature: str) -> list[str]:
    """Returns a call without an id that the provider did not send, and without a signature that is empty."""
    return ["" if _MADE_ID.fullmatch(call_id) else call_id, name, arguments, *([signature] if signature else [])]


def _summarize_usage(usage: Mapping[str, Any]) -> dict[str, int]:
    """Returns the provider's counts; empty when they are estimated, or when there are none."""
    if usage.get("source") != "USAGE_SOURCE_PROVIDER":
        return {}
    counts = {name: usage[key] for key, name in _COUNTS.items() if key in usage}
    assert usage["totalTokens"] == counts["input"] + counts["output"]
    return counts
