"""The providers' words for why an answer ended."""

from collections.abc import Mapping
from typing import Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "finish": FinishReason.STOP,
    "finished": FinishReason.STOP,
    "stop_criteria_met": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "max_output_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "recitation": FinishReason.CONTENT_FILTER,
    "blocklist": FinishReason.CONTENT_FILTER,
    "prohibited_content": FinishReason.CONTENT_FILTER,
    "spii": FinishReason.CONTENT_FILTER,
    "image_safety": FinishReason.CONTENT_FILTER,
    "image_prohibited_content": FinishReason.CONTENT_FILTER,
    "image_recitation": FinishReason.CONTENT_FILTER,
    "model_armor": FinishReason.CONTENT_FILTER,
    "jailbreak": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
}
"""Our finish reason for each word, in lower case. A word that is not listed becomes OTHER."""

FAILED_FINISH_REASONS: Final[Mapping[str, int]] = {
    "error": 500,
    "abort": 500,
    "aborted": 500,
    "cancelled": 500,
    "canceled": 500,
    "network_error": 500,
    "insufficient_system_resource": 503,
}
"""Words, in lower case, that report a failure in the middle of an answer, with the HTTP status that it equals."""


def convert_finish_word(word: str) -> FinishReason:
    """Converts a provider's word, in whatever case."""
    return FINISH_REASONS.get(word.lower(), FinishReason.OTHER)


def check_finish_word(word: str) -> None:
    """Raises ErrorInAnswer if the word, in whatever case, reports a failure of the upstream."""
    status = FAILED_FINISH_REASONS.get(word.lower())
    if status is not None:
        raise ErrorInAnswer({"code": status})
