"""The tokens that an answer used, from the counts that the upstream reported."""

from collections.abc import Mapping
from typing import Any

from reasoning_grpc.domain import Usage, UsageSource, estimate_tokens
from reasoning_grpc.litellm_model.lenient import Json, read_object, read_token_count


def find_usage(answer: Mapping[str, Any], choice: Json | None) -> Json:
    """Returns the counts in one event from wherever servers put them: in the event, a vendor's field, the choice."""
    found: Json = {}
    if not ("usage" in answer or "x_groq" in answer or (choice and "usage" in choice)):
        return found  # most events: bursts have thousands of them
    for holder in (answer, answer.get("x_groq"), choice):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            found = {**found, **usage} if found else usage
    return found


def convert_usage(reported: Mapping[str, Any], *, estimated_input_tokens: int, output_bytes: int) -> Usage:
    """Converts the counts that the upstream reported, and fills in those that it left out by estimates.

    `output_bytes` is the length of the answer, for an estimate of its tokens.
    """
    input_details = _read_details(reported, "prompt_tokens_details", "input_tokens_details")
    output_details = _read_details(reported, "completion_tokens_details", "output_tokens_details")
    reasoning_tokens = _find_count(output_details.get("reasoning_tokens"), reported.get("reasoning_tokens"))
    input_tokens = _find_count(reported.get("prompt_tokens"), reported.get("input_tokens"))
    output_tokens = _find_count(reported.get("completion_tokens"), reported.get("output_tokens"))
    total_tokens = _find_count(reported.get("total_tokens"))
    input_tokens, output_tokens = _derive_missing(input_tokens, output_tokens, total_tokens, reasoning_tokens or 0)
    is_complete = input_tokens is not None and output_tokens is not None
    if input_tokens is None:
        input_tokens = estimated_input_tokens
    if output_tokens is None:
        output_tokens = estimate_tokens(output_bytes)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens if is_complete and total_tokens is not None else input_tokens + output_tokens,
        source=UsageSource.PROVIDER if is_complete else UsageSource.ESTIMATED,
        cached_input_tokens=_find_count(
            input_details.get("cached_tokens"),
            reported.get("prompt_cache_hit_tokens"),
            reported.get("cached_tokens"),
            reported.get("cache_read_input_tokens"),
        ),
        cache_write_tokens=_find_count(
            input_details.get("cache_write_tokens"),
            input_details.get("cache_creation_tokens"),
            reported.get("cache_creation_input_tokens"),
        ),
        reasoning_tokens=reasoning_tokens,
        audio_input_tokens=_find_count(input_details.get("audio_tokens")),
    )


def _derive_missing(
    input_tokens: int | None, output_tokens: int | None, total_tokens: int | None, reasoning_tokens: int
) -> tuple[int | None, int | None]:
    """Returns input and output tokens, one derived from the total where only the other was reported."""
    if total_tokens is not None and input_tokens is None and output_tokens is not None:
        input_tokens = max(0, total_tokens - output_tokens)
    elif total_tokens is not None and output_tokens is None and input_tokens is not None:
        output_tokens = max(0, total_tokens - input_tokens)
    if input_tokens is None or output_tokens is None:
        return input_tokens, output_tokens
    # xAI counts reasoning beside the output, others count it as a part of the output.
    is_beside = total_tokens == input_tokens + output_tokens + reasoning_tokens
    return input_tokens, output_tokens + reasoning_tokens if is_beside else output_tokens


def _read_details(reported: Mapping[str, Any], *names: str) -> Json:
    """Returns the first of these members that is an object with members of its own; empty where none is."""
    return next((details for name in names if (details := read_object(reported.get(name)))), {})


def _find_count(*candidates: object) -> int | None:
    """Returns the first candidate that is a number of tokens."""
    return next((count for candidate in candidates if (count := read_token_count(candidate)) is not None), None)
