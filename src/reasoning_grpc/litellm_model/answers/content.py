"""Converts the content and the reasoning in one delta of an answer, in every form that servers write."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from reasoning_grpc.domain.events import AlternativeToken, ContentDelta, Delta, ReasoningDelta, TokenLogprob
from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.lenient import (
    Json,
    read_bytes,
    read_float,
    read_list,
    read_object,
    read_objects,
    read_text,
)
from reasoning_grpc.litellm_model.reasoning_details import read_details


def read_content(content: object, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
    """Converts content that is a text, or a list of parts. Raises MalformedAnswer."""
    if content is None:
        return [ContentDelta("", logprobs)] if logprobs else []
    if isinstance(content, str):
        return [ContentDelta(content, logprobs)] if content or logprobs else []
    return [*read_parts(content)]


def read_parts(content: object) -> list[ContentDelta | ReasoningDelta]:
    """Converts content that is a list of parts: text, refusals, and thinking as Mistral and Databricks write it.

    Raises MalformedAnswer.
    """
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise MalformedAnswer("content is neither text nor parts")
    return [delta for part in content if (delta := _read_part(part)) is not None]


def read_reasoning(delta: Mapping[str, Any]) -> list[Delta]:
    """Converts reasoning from any of its four fields, with its signature and the parts that the provider encrypts."""
    blocks = read_objects(delta.get("thinking_blocks"))
    details = read_details(delta)
    signature = "".join(read_text(block.get("signature")) for block in blocks)
    signature = signature or "".join(detail.signature for detail in details)
    text = (
        read_text(delta.get("reasoning_content"))
        or read_text(delta.get("reasoning"))
        or "".join(read_text(block.get("thinking")) for block in blocks)
        or "".join(detail.text for detail in details)
    )
    deltas: list[Delta] = [ReasoningDelta(text, signature=signature)] if text or signature else []
    deltas += [detail for detail in details if detail.redacted]
    deltas += [
        ReasoningDelta(redacted=data.encode())
        for block in blocks
        if block.get("type") == "redacted_thinking" and (data := read_text(block.get("data")))
    ]
    return deltas


def read_logprobs(value: object) -> tuple[TokenLogprob, ...]:
    """Converts the log probabilities of a choice; empty where it has none."""
    return tuple(
        TokenLogprob(
            read_text(entry.get("token")),
            read_float(entry.get("logprob")),
            read_bytes(entry.get("bytes")),
            tuple(_read_alternative(read_object(top)) for top in read_list(entry.get("top_logprobs"))),
        )
        for entry in read_objects(read_object(value).get("content"))
    )


def find_signature(delta: Mapping[str, Any]) -> str:
    """Returns the signature of the text or reasoning in a delta, from litellm's dialect for Gemini.

    Beside a call, it is the signature of the call, which the call itself has too.
    """
    if delta.get("tool_calls"):
        return ""
    fields = read_object(delta.get("provider_specific_fields"))
    return "".join(map(read_text, read_list(fields.get("thought_signatures"))))


def sign_last(deltas: list[Delta], signature: str) -> list[Delta]:
    """Returns the deltas with the signature on the last of them; a signature alone goes with an empty text."""
    if not signature:
        return deltas
    last = deltas[-1] if deltas else ContentDelta("")
    return [*deltas[:-1], replace(last, signature=last.signature or signature)]


def _read_part(part: Mapping[str, Any]) -> ContentDelta | ReasoningDelta | None:
    thinking = part.get("thinking") or part.get("summary")
    if thinking is not None:
        nested = read_objects(thinking)
        text = read_text(thinking) or "".join(read_text(entry.get("text")) for entry in nested)
        signature = read_text(part.get("signature")) or "".join(read_text(entry.get("signature")) for entry in nested)
        return ReasoningDelta(text, signature=signature) if text or signature else None
    if refusal := read_text(part.get("refusal")):
        return ContentDelta(refusal, refusal=True)
    return ContentDelta(text) if (text := read_text(part.get("text"))) else None


def _read_alternative(top: Json) -> AlternativeToken:
    return AlternativeToken(read_text(top.get("token")), read_float(top.get("logprob")), read_bytes(top.get("bytes")))
