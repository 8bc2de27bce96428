"""`InvokeObserver`: observes answers of Amazon Bedrock's Invoke API, each in the protocol of the model's maker."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.litellm_model.answers import MalformedAnswer, decode_part, read_choice
from reasoning_grpc.litellm_model.lenient import Json, read_first_object, read_object
from reasoning_grpc.litellm_model.protocols.anthropic import AnthropicObserver
from reasoning_grpc.litellm_model.protocols.bedrock import EVENTS, ConverseObserver
from reasoning_grpc.litellm_model.protocols.observer import Observer
from reasoning_grpc.litellm_model.protocols.openai import OpenAIObserver

_METRICS: Final = "amazon-bedrock-invocationMetrics"
"""The member in which Bedrock adds its own counts to the last event."""
_TEXTS: Final = ("outputText", "text", "generation")
_WORDS: Final = ("completionReason", "finish_reason", "stop_reason")


@dataclass(slots=True)
class InvokeObserver(Observer):
    """Observes answers to POST /model/.../invoke-with-response-stream: chunks with an event of another protocol.

    The first chunk shows which protocol it is.
    """

    knows_protocol = True
    is_binary = True
    _inner: Observer | None = None
    """The observer of the events in the chunks; None before the first chunk."""

    @property
    def is_finished(self) -> bool:
        """See `Observer.is_finished`."""
        return self._inner is not None and self._inner.is_finished

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`."""
        answer = decode_part(body)
        read_choice(answer)  # it may be an error
        self.has_events = True
        inner = self._choose_inner(answer)
        lines = inner.observe_whole(body)
        self._copy_state(inner)
        return [json.dumps(_build_chunk(line)).encode() for line in lines]

    def _observe(self, answer: Json) -> list[Json]:
        encoded = read_object(answer.get("chunk")).get("bytes")
        if encoded is None:
            return []
        event = _decode_chunk(encoded)
        inner = self._choose_inner(decode_part(event))
        lines = inner.observe_event(event)
        self._copy_state(inner)
        return [_build_chunk(line) for line in lines]

    def _choose_inner(self, part: Json) -> Observer:
        """Returns the observer of the protocol to which the first part of the answer belongs."""
        if self._inner is None:
            if "choices" in part:
                self._inner = OpenAIObserver()
            elif "type" in part:
                self._inner = AnthropicObserver()
            else:
                is_converse = "output" in part or not part.keys().isdisjoint(EVENTS)
                self._inner = ConverseObserver() if is_converse else TextObserver()
        return self._inner

    def _copy_state(self, inner: Observer) -> None:
        """Copies what the provider has reported so far."""
        self.provider_finish_reason = inner.provider_finish_reason
        self.usage = inner.usage
        self.text_length, self.counted_text_length = inner.text_length, inner.counted_text_length
        self.is_ended = inner.is_ended


@dataclass(slots=True)
class TextObserver(Observer):
    """Observes the events of older models in Bedrock: each has a text, a word for the end, or both.

    Amazon's Titan, Meta's Llama, Mistral and Cohere each have their own names for these.
    """

    knows_protocol = True

    def _observe(self, answer: Json) -> list[Json]:
        part = read_first_object(answer.get("outputs")) or answer
        texts, words = _find(part, _TEXTS), _find(part, _WORDS)
        metrics = answer.pop(_METRICS, None)
        if not texts and not words and metrics is None:
            raise MalformedAnswer("a chunk is of no known protocol")
        for name, text in texts.items():
            part[name] = text or ""
            if name != "generation":  # litellm takes the first part of some texts for reasoning
                self._record_text(text)
        self._record_part(None, has_content=any(texts.values()), finish_word=next(filter(None, words.values()), None))
        if metrics is not None:
            self._record_metrics(read_object(metrics))
        return [answer]

    def _record_metrics(self, metrics: Json) -> None:
        """Records the counts that Bedrock adds."""
        self.usage = {
            "prompt_tokens": metrics.get("inputTokenCount"),
            "completion_tokens": metrics.get("outputTokenCount"),
        }


def _find(part: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    """Returns the members with these names."""
    return {name: part[name] for name in names if name in part}


def _decode_chunk(encoded: object) -> bytes:
    """Returns the event in a chunk. Raises MalformedAnswer."""
    try:
        return base64.b64decode(str(encoded), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedAnswer("a chunk is not Base64") from exc


def _build_chunk(line: bytes) -> Json:
    return {"chunk": {"bytes": base64.b64encode(line).decode()}}
