"""Media and cache marks in conversations with Anthropic's models.

Sources: Anthropic's API answers "media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
and, for a document in base64, "Input should be 'application/pdf'"; its documentation of prompt caching says "up to 4
cache breakpoints" and "thinking blocks cannot be cached directly with cache_control".
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Media, Message, Part, Reasoning
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.llm import ModelCall

MAX_CACHE_MARKS: Final = 4
IMAGE_TYPES: Final = frozenset({"image/gif", "image/jpeg", "image/png", "image/webp"})
TEXT_TYPE: Final = "text/plain"
DOCUMENT_TYPES: Final = frozenset({"application/pdf", TEXT_TYPE})


def refuse_media_types(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses media of types that the provider does not take."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if not isinstance(part.content, Media):
                continue
            media, path = part.content, f"messages[{row}].content[{column}].media"
            if media.mime_type not in IMAGE_TYPES | DOCUMENT_TYPES:
                accepted = ", ".join(sorted(IMAGE_TYPES | DOCUMENT_TYPES))
                yield FieldViolation(f"{path}.mime_type", f"The model takes {accepted}.")
            elif media.mime_type == TEXT_TYPE and not _is_text(media.data):
                yield FieldViolation(f"{path}.data", "The text must be UTF-8, and not blank.")


def limit_cache_marks(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Keeps the last marks, because each of them caches all of the prompt before it; reasoning takes none."""
    parts = [part for message in call.messages for part in message.content if part.cache]
    if not parts:
        return call, None
    takers = sum(not isinstance(part.content, Reasoning) for part in parts)
    if takers == len(parts) <= MAX_CACHE_MARKS:
        return call, None
    superfluous = max(0, takers - MAX_CACHE_MARKS)
    messages: list[Message] = []
    for message in call.messages:
        kept: list[Part] = []
        for part in message.content:
            is_superfluous = part.cache and (superfluous > 0 or isinstance(part.content, Reasoning))
            if is_superfluous and not isinstance(part.content, Reasoning):
                superfluous -= 1
            kept.append(replace(part, cache=False) if is_superfluous else part)
        messages.append(replace(message, content=tuple(kept)))
    setting = EffectiveSetting(
        "messages.content.cache",
        str(len(parts)),
        str(min(takers, MAX_CACHE_MARKS)),
        EffectiveSettingCause.PROVIDER_LIMIT,
        f"The provider takes {MAX_CACHE_MARKS} cache marks, and none on reasoning; the last ones are kept.",
    )
    return replace(call, messages=tuple(messages)), setting


def _is_text(data: bytes) -> bool:
    try:
        return bool(data.decode().strip())
    except UnicodeDecodeError:
        return False
