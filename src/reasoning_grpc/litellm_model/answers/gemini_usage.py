"""Converts the tokens that Google's Gemini API has counted to counts of the OpenAI protocol."""

from typing import Final

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.answers.json_events import decode_event
from reasoning_grpc.litellm_model.lenient import Json, add_known, read_object, read_objects, read_token_count

_COUNTS: Final = ("prompt", "toolUsePrompt", "candidates", "thoughts", "total")


def read_gemini_usage(counts: bytes, *, is_final: bool) -> Json:
    """Converts the counts of one response, which are JSON or empty.

    Before the end of an answer, the total is that of the prompt alone.
    """
    usage = _decode(counts)
    if not usage:
        return {}
    prompt, by_tools, text, thoughts, total = (read_token_count(usage.get(f"{name}TokenCount")) for name in _COUNTS)
    prompt = add_known(prompt, by_tools)
    has_thoughts_in_text = bool(thoughts) and text is not None and total == add_known(prompt, text)
    return {
        "prompt_tokens": prompt,
        "prompt_tokens_details": {
            "cached_tokens": usage.get("cachedContentTokenCount"),
            "audio_tokens": _find_modality(usage.get("promptTokensDetails"), "AUDIO"),
        },
        # Gemini counts thoughts apart from the text, unless the total shows that the text contains them.
        "completion_tokens": text if has_thoughts_in_text else add_known(text, thoughts),
        "completion_tokens_details": {"reasoning_tokens": thoughts},
        "total_tokens": total if is_final else None,
    }


def _find_modality(details: object, modality: str) -> object:
    """Returns the number of tokens of one kind of input, such as "AUDIO"; None where there is no such entry."""
    return next((entry.get("tokenCount") for entry in read_objects(details) if entry.get("modality") == modality), None)


def _decode(counts: bytes) -> Json:
    try:
        return read_object(decode_event(counts)) if counts else {}
    except MalformedAnswer:
        return {}
