"""What the upstream itself says in an answer that litellm reads: its finish reason, its errors, its usage.

litellm invents a finish reason where there is none, renames most of them, turns an
error of the provider into a 500, and counts tokens itself where nobody else did. So
the events pass by here first; what litellm makes of the text is left to litellm.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer, decoded_event

_ANTHROPIC_EVENTS: Final = frozenset({"message_start", "message_delta", "message_stop", "ping"})


@dataclass(slots=True)
class Witness:
    """Sees the JSON events of one answer, in order, before litellm does."""

    knows_protocol: bool = False
    """Whether the events are of a protocol whose end it can tell, so that its word is final."""
    finish_word: str = ""
    """Why the answer ended, in the provider's own word; empty as long as it did not say."""
    counted: bool = False
    """Whether the provider counted the tokens of its answer."""

    def passed(self, event: bytes) -> bytes:
        """The event as litellm may have it. Raises MalformedAnswer and ErrorInAnswer."""
        answer = decoded_event(event)
        if b"\\u" in event:
            event = msgspec.json.encode(answer)  # half of a surrogate pair, in which protobuf refuses the text
        if not isinstance(answer, dict):
            raise MalformedAnswer("an event is no object")
        if answer.get("error"):
            raise ErrorInAnswer(answer["error"])
        if answer.get("type") == "error":  # Anthropic's, without saying which
            raise ErrorInAnswer({})
        for see in (self._see_openai, self._see_gemini, self._see_anthropic, self._see_ollama):
            see(answer)
        return _without_null_usage(event, answer)

    def _see_openai(self, answer: Mapping[str, Any]) -> None:
        choices = answer.get("choices")
        if not isinstance(choices, list):
            return
        vendor = answer.get("x_groq")
        usages = (answer.get("usage"), vendor.get("usage") if isinstance(vendor, dict) else None)
        self._note(_first(choices).get("finish_reason"), *usages)

    def _see_gemini(self, answer: Mapping[str, Any]) -> None:
        blocked = _dict(answer.get("promptFeedback")).get("blockReason")
        candidates = answer.get("candidates")
        if not isinstance(candidates, list) and not blocked:
            return
        usage = _dict(answer.get("usageMetadata"))
        counted = usage if "candidatesTokenCount" in usage or "thoughtsTokenCount" in usage else None
        self._note(blocked or _first(candidates).get("finishReason"), counted)

    def _see_anthropic(self, answer: Mapping[str, Any]) -> None:
        if answer.get("type") not in _ANTHROPIC_EVENTS:
            return
        is_end = answer["type"] == "message_delta"
        self._note(_dict(answer.get("delta")).get("stop_reason"), answer.get("usage") if is_end else None)

    def _see_ollama(self, answer: Mapping[str, Any]) -> None:
        if isinstance(answer.get("done"), bool):
            self._note(answer.get("done_reason") or ("stop" if answer["done"] else ""), answer.get("eval_count"))

    def _note(self, word: object, *usages: object) -> None:
        self.knows_protocol = True
        if isinstance(word, str) and word:
            self.finish_word = word
        self.counted = self.counted or any(usages)


def _without_null_usage(event: bytes, answer: dict[str, Any]) -> bytes:
    """The same event: over a usage of null, litellm raises a TypeError."""
    message = answer.get("message")
    nulls = [holder for holder in (answer, message) if isinstance(holder, dict) and holder.get("usage", 0) is None]
    for holder in nulls:
        del holder["usage"]
    return msgspec.json.encode(answer) if nulls else event


def _first(values: object) -> Mapping[str, Any]:
    return _dict(values[0]) if isinstance(values, list) and values else {}


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
