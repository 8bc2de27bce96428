"""Converts the content of a message, text and media, to parts of the OpenAI dialect."""

import base64
import mimetypes
from typing import Any, Final

from reasoning_grpc.domain import Media, Message, Part, Text
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI

_TAKE_CACHE_MARKS: Final = frozenset({"bedrock", "litellm_proxy", "openrouter"})
"""Providers that cache what is marked. For Gemini, litellm would create a cache by a request of its own.

A server that speaks only the OpenAI dialect caches without marks, and may refuse them.
"""
_REQUIRE_FILENAMES: Final = SPEAKS_OPENAI - {"litellm_proxy"}
"""Providers of the OpenAI protocol, in which a document has a name."""
_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav"}


def convert_content(message: Message, provider: str) -> str | list[dict[str, Any]]:
    """Converts text and media; see `simplify_content`."""
    if (
        len(message.content) == 1
        and isinstance(text := message.content[0].content, Text)
        and not message.content[0].cache
    ):
        return text.text  # most messages
    return simplify_content([convert_part(part, provider) for part in message.content])


def simplify_content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Returns a single plain text as a string, which every server takes; else the parts as they are."""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return str(parts[0]["text"])
    return parts


def convert_part(part: Part, provider: str) -> dict[str, Any]:
    """Converts a part that is text or media."""
    content = part.content
    assert isinstance(content, Text | Media)
    if isinstance(content, Text):
        return {"type": "text", "text": content.text} | mark_for_cache(part, provider)
    return _convert_media(content, provider) | mark_for_cache(part, provider)


def mark_for_cache(part: Part, provider: str) -> dict[str, Any]:
    """Returns the member that asks the provider to cache the prompt up to this part; empty if none is wanted."""
    return {"cache_control": {"type": "ephemeral"}} if part.cache and provider in _TAKE_CACHE_MARKS else {}


def _convert_media(media: Media, provider: str) -> dict[str, Any]:
    kind = media.mime_type.partition("/")[0]
    encoded = base64.b64encode(media.data).decode()
    location = media.uri or f"data:{media.mime_type};base64,{encoded}"
    if kind == "image":
        return {"type": "image_url", "image_url": {"url": location}}
    if kind == "audio":
        audio_format = _AUDIO_FORMATS.get(media.mime_type, media.mime_type.partition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": audio_format}}
    name = media.filename
    if not name and provider in _REQUIRE_FILENAMES:
        name = f"document{mimetypes.guess_extension(media.mime_type) or ''}"
    return {"type": "file", "file": {"file_data": location} | ({"filename": name} if name else {})}
