"""`OpenAIObserver`: observes answers of the OpenAI protocol that litellm reads."""

import json
from dataclasses import dataclass
from typing import Final

from reasoning_grpc.domain.events import ContentDelta, ReasoningDelta
from reasoning_grpc.litellm_model.answers import (
    MalformedAnswer,
    decode_event,
    find_calls,
    find_usage,
    merge_usage,
    normalize_call,
    read_parts,
    select_choice,
    select_delta,
)
from reasoning_grpc.litellm_model.lenient import Json, read_object
from reasoning_grpc.litellm_model.protocols.observer import PLACEHOLDER_TOKENS, Observer

_PLACEHOLDER_USAGE: Final[Json] = {
    "prompt_tokens": PLACEHOLDER_TOKENS,
    "completion_tokens": PLACEHOLDER_TOKENS,
    "total_tokens": 2 * PLACEHOLDER_TOKENS,
}


@dataclass(slots=True)
class OpenAIObserver(Observer):
    """Observes answers to POST /chat/completions: chunks with choices, or a completion, which counts as one chunk.

    It moves what litellm would lose to where litellm finds it. litellm reads content only as text, knows
    only one of the two names for reasoning, leaves out a chunk in which it sees nothing, takes calls without
    an index for one call, and breaks where an outer member is missing.
    """

    knows_protocol = True
    calls_have_index: bool = True

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`."""
        return self.observe_event(body)

    def complete_whole(self, body: bytes) -> bytes:
        """See `Observer.complete_whole`: for `groq/`, litellm reads a member that only Groq itself sends."""
        answer = decode_event(body)
        return json.dumps({"service_tier": "auto", **answer}).encode() if isinstance(answer, dict) else body

    def _observe(self, answer: Json) -> list[Json]:
        if not answer.keys() & {"choices", "usage"}:
            raise MalformedAnswer("an event has no choices")
        choice = select_choice(answer.get("choices"))
        self.usage = merge_usage(self.usage, find_usage(answer, choice))
        part_id = answer.get("id")
        answer |= {"id": "", "created": 0, "model": ""}  # litellm breaks on other types
        for name in ("usage", "error"):
            answer.pop(name, None)
        if not choice:
            return [answer | {"choices": [], "usage": _PLACEHOLDER_USAGE}]
        choice["delta"] = self._rewrite_delta(select_delta(choice, is_first=not self.text_length))
        has_content = _has_content(choice["delta"])
        self._record_part(part_id, has_content=has_content, finish_word=choice.get("finish_reason"))
        usage = {"usage": _PLACEHOLDER_USAGE} if self.provider_finish_reason else {}
        return [answer | {"choices": [choice]} | usage]

    def _rewrite_delta(self, delta: Json) -> Json:
        """Returns the delta in a form of which litellm loses nothing."""
        if not isinstance(delta.get("content"), str | None):
            delta |= _convert_parts(read_parts(delta["content"]))
        self._record_text(delta.get("content"))
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            delta |= {"reasoning_content": reasoning, "reasoning": reasoning}
        calls = [normalize_call(call) for call in find_calls(delta)]
        self.calls_have_index = self.calls_have_index and all("index" in call for call in calls)
        for name in ("tool_calls", "function_call"):
            delta.pop(name, None)
        if calls:
            delta["tool_calls"] = calls
        if any(delta.get(name) for name in ("refusal", "thinking_blocks", "reasoning_details")):
            delta["provider_specific_fields"] = read_object(delta.get("provider_specific_fields")) | {"keep": True}
        return delta


def _has_content(delta: Json) -> bool:
    """Whether a delta brings more than a role."""
    return any(value for name, value in delta.items() if name != "role")


def _convert_parts(deltas: list[ContentDelta | ReasoningDelta]) -> Json:
    """Converts content that is a list of parts to the fields that a delta of the OpenAI protocol has for them."""
    content = [delta for delta in deltas if isinstance(delta, ContentDelta)]
    reasoning = [delta for delta in deltas if isinstance(delta, ReasoningDelta)]
    thinking, signature = "".join(delta.text for delta in reasoning), "".join(delta.signature for delta in reasoning)
    block = {"type": "thinking", "thinking": thinking, "signature": signature}
    fields = {
        "content": "".join(delta.text for delta in content if not delta.refusal),
        "refusal": "".join(delta.text for delta in content if delta.refusal),
        "reasoning_content": thinking,
        "thinking_blocks": [block] if signature else None,
    }
    return {name: value or None for name, value in fields.items()}
