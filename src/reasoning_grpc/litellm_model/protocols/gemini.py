"""`GeminiObserver`: observes answers of Google's Gemini API that litellm reads."""

import json
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.litellm_model.answers import MalformedAnswer, decode_event, select_choice
from reasoning_grpc.litellm_model.lenient import (
    Json,
    add_known,
    read_list,
    read_object,
    read_objects,
    read_token_count,
)
from reasoning_grpc.litellm_model.protocols.observer import PLACEHOLDER_TOKENS, Observer

_COUNTS: Final = ("prompt", "toolUsePrompt", "candidates", "thoughts", "total")


@dataclass(slots=True)
class GeminiObserver(Observer):
    """Observes answers to POST ...:streamGenerateContent: responses with candidates, or with a reason for none."""

    knows_protocol = True

    def observe_whole(self, body: bytes) -> list[bytes]:
        """See `Observer.observe_whole`: the body is a response, or a list of them."""
        responses = decode_event(body)
        if not isinstance(responses, list):
            return self.observe_event(body)
        return [event for response in responses for event in self.observe_event(json.dumps(response).encode())]

    def _observe(self, answer: Json) -> list[Json]:
        block_reason = read_object(answer.get("promptFeedback")).get("blockReason")
        if not block_reason and not answer.keys() & {"candidates", "usageMetadata"}:
            raise MalformedAnswer("an event has no candidates")
        candidate = select_choice(answer.get("candidates")) or {}
        if "content" in candidate:
            content = candidate["content"] = _check_type(candidate["content"], dict) or {}
            content["parts"] = [self._rewrite_part(part) for part in _check_type(content.get("parts"), list) or []]
        if "candidates" in answer:
            answer["candidates"] = [candidate] if candidate else []
        self._record_part(
            answer.get("responseId"),
            has_content=any(map(_has_content, read_list(read_object(candidate.get("content")).get("parts")))),
            finish_word=block_reason or candidate.get("finishReason"),
        )
        if candidate.get("finishReason"):
            candidate["finishReason"] = "STOP"  # litellm warns of words that it does not know
        self._record_usage(read_object(answer.pop("usageMetadata", None)))
        if self.provider_finish_reason:
            answer["usageMetadata"] = {
                "promptTokenCount": PLACEHOLDER_TOKENS,
                "candidatesTokenCount": PLACEHOLDER_TOKENS,
                "totalTokenCount": 2 * PLACEHOLDER_TOKENS,
            }
        return _split_parts(answer, candidate)

    def _rewrite_part(self, part: object) -> Json:
        """Returns the part without nulls, on which litellm breaks. Raises MalformedAnswer."""
        if not isinstance(part, dict):
            raise MalformedAnswer("a part is not an object")
        part = {name: value for name, value in part.items() if value is not None}
        if not part.get("thought"):
            self._record_text(part.get("text"))
        if isinstance(call := part.get("functionCall"), dict):
            call["args"] = _read_arguments(call.get("args"))
        return part

    def _record_usage(self, usage: Json) -> None:
        """Records the counts of one event: each has those of the prompt, later ones also those of the output."""
        if not usage:
            return
        prompt, by_tools, text, thoughts, total = (read_token_count(usage.get(f"{name}TokenCount")) for name in _COUNTS)
        prompt = add_known(prompt, by_tools)
        has_thoughts_in_text = bool(thoughts) and text is not None and total == add_known(prompt, text)
        self.usage = {
            "prompt_tokens": prompt,
            "prompt_tokens_details": {
                "cached_tokens": usage.get("cachedContentTokenCount"),
                "audio_tokens": _find_modality(usage.get("promptTokensDetails"), "AUDIO"),
            },
            # Gemini counts thoughts apart from the text, unless the total shows that the text contains them.
            "completion_tokens": text if has_thoughts_in_text else add_known(text, thoughts),
            "completion_tokens_details": {"reasoning_tokens": thoughts},
            # Before the end, the total is that of the prompt alone.
            "total_tokens": total if self.provider_finish_reason else None,
        }


def _split_parts(answer: Json, candidate: Json) -> list[Json]:
    """Returns a response for each part, or the response itself where litellm keeps every signature.

    Beside a call, litellm loses the signature of a text.
    """
    parts = read_list(read_object(candidate.get("content")).get("parts"))
    is_signed = any("thoughtSignature" in part and "functionCall" not in part for part in parts)
    if not (is_signed and any("functionCall" in part for part in parts)):
        return [answer]
    first = [{"candidates": [{"index": 0, "content": candidate["content"] | {"parts": [part]}}]} for part in parts[:-1]]
    return [*first, answer | {"candidates": [candidate | {"content": candidate["content"] | {"parts": parts[-1:]}}]}]


def _check_type(value: Any, wanted: type) -> Any:
    """Returns the value, which may be missing. Raises MalformedAnswer if it has content of another type."""
    if value and not isinstance(value, wanted):
        raise MalformedAnswer("the content of a candidate has another form")
    return value


def _read_arguments(arguments: object) -> Json:
    """Returns the arguments of a call; some servers write them as JSON text. Raises MalformedAnswer."""
    value = decode_event(arguments.encode()) if isinstance(arguments, str) and arguments else arguments
    return read_object(_check_type(value, dict))


def _has_content(part: Json) -> bool:
    """Whether a part brings more than an empty text."""
    return any(value for name, value in part.items() if name not in {"thought", "thoughtSignature"})


def _find_modality(details: object, modality: str) -> object:
    """Returns the number of tokens of one kind of input, such as "AUDIO"; None where there is no such entry."""
    return next((entry.get("tokenCount") for entry in read_objects(details) if entry.get("modality") == modality), None)
