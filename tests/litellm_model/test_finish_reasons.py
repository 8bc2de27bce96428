"""How the providers' words for the end of an answer become our finish reasons."""

from typing import Final

import pytest

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.litellm_model.answers import AnswerReader, ErrorInAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import FAILED_FINISH_REASONS, FINISH_REASONS
from tests.support.answer_events import a_call_json, read_events
from tests.support.upstream import chunk

FINISHES: Final = {
    "stop": FinishReason.STOP,
    "STOP": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "COMPLETE": FinishReason.STOP,
    "FINISH": FinishReason.STOP,
    "FINISHED": FinishReason.STOP,
    "stop_criteria_met": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "MAX_TOKENS": FinishReason.LENGTH,
    "max_output_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "TOOL_CALL": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "JAILBREAK": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
    "pause_turn": FinishReason.OTHER,
    "MALFORMED_FUNCTION_CALL": FinishReason.OTHER,
    "a word we do not know": FinishReason.OTHER,
}


@pytest.mark.parametrize(("word", "reason"), FINISHES.items(), ids=FINISHES.keys())
def test_a_finish_word_is_converted(word: str, reason: FinishReason) -> None:
    """Each provider's word is converted and stays readable beside it; a null in a later event does not remove it."""
    reader = AnswerReader()

    read_events(reader, chunk({"content": "a"}, word), chunk({}))

    assert (reader.finish_reason, reader.provider_finish_reason) == (reason, word)


def test_every_finish_word_is_tried() -> None:
    """The table of these tests has every word that we know."""
    assert {word.lower() for word in FINISHES} >= FINISH_REASONS.keys()


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.TOOL_CALLS),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("length", FinishReason.LENGTH),
        ("content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_a_finish_word_after_tool_calls(word: str, reason: FinishReason) -> None:
    """An answer that stopped after tool calls ended with TOOL_CALLS, though some servers say "stop".

    A cut answer did not.
    """
    reader = AnswerReader()

    read_events(reader, chunk({"tool_calls": [a_call_json(0, "c", "f", "{}")]}), chunk({}, word))

    assert (reader.finish_reason, reader.provider_finish_reason) == (reason, word)


@pytest.mark.parametrize(("word", "status"), FAILED_FINISH_REASONS.items(), ids=FAILED_FINISH_REASONS.keys())
def test_a_finish_word_for_a_failure_is_an_error(word: str, status: int) -> None:
    """A word that reports a failure of the upstream raises an error and is no finish reason."""
    reader = AnswerReader()

    with pytest.raises(ErrorInAnswer) as raised:
        read_events(reader, chunk({"content": "a"}), chunk({}, word))

    assert raised.value.error == {"code": status}
    assert reader.finish_reason is None
