"""The origin of opaque values: which model has signed or encrypted a part of an answer.

A provider refuses a conversation with a signature that another model made, and refuses it again each time. So every
signature, and all redacted reasoning, carries a mark of its model in what callers receive. On the way back, the mark
is removed for the same model, and the values of other models are left out. A value without a mark does not come from
this server; it is passed on as it is.

Gemini signs texts, and in a stream also a part without any text, which a message of ours does not keep apart. Google
asks for each signature at its own part, so the mark also says where that part was.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import Deployment, EffectiveSetting, EffectiveSettingCause, Message, Part, Reasoning, Text
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.llm import ModelCall

_MARK: Final = re.compile(r"rg1-[\w-]{8}\.", re.ASCII)


class Place(StrEnum):
    """The place of a signature in the provider's answer."""

    WITH_PART = ""
    """It belongs to the part of the message that has it."""
    AFTER_TEXT = "after the text"
    """It belongs to a part without text, which follows the text that has it."""
    LAST = "last"
    """It belongs to a part without text, which ends the answer."""


@lru_cache(maxsize=1024)
def create_mark(litellm_model: str, base_model: str, place: Place = Place.WITH_PART) -> str:
    """Returns the mark of a model. Its name cannot be read from it, because it may be internal to the operator."""
    lines = [litellm_model, base_model, *([place.value] if place else [])]
    digest = sha256("\n".join(lines).encode()).digest()
    return f"rg1-{urlsafe_b64encode(digest[:6]).decode()}."


class DeltaMarker:
    """Marks the deltas of one answer with their origin."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._has_calls = False

    def mark(self, delta: Delta) -> Delta:
        """Returns the delta with its origin in its opaque values; one without such values is returned as it is."""
        if isinstance(delta, ContentDelta) and not delta.signature:
            return delta  # most deltas
        self._has_calls = self._has_calls or isinstance(delta, ToolCallDelta)
        match delta:
            case ReasoningDelta(redacted=redacted, signature=signature) if redacted or signature:
                mark = _find_mark(self._deployment)
                return replace(
                    delta,
                    redacted=redacted and mark.encode() + redacted,
                    signature=signature and mark + signature,
                )
            case ContentDelta(text=text, signature=signature) if signature:
                return replace(delta, signature=_find_mark(self._deployment, self._find_place(text)) + signature)
            case ToolCallDelta(signature=signature) if signature:
                return replace(delta, signature=_find_mark(self._deployment) + signature)
            case _:
                return delta

    def _find_place(self, text: str) -> Place:
        """Returns the place of a signature that comes with this text."""
        if text or self._deployment.provider != "gemini":
            return Place.WITH_PART
        return Place.LAST if self._has_calls else Place.AFTER_TEXT


def leave_out_foreign_values(call: ModelCall, deployment: Deployment) -> tuple[ModelCall, EffectiveSetting | None]:
    """Returns the call with the values of its own model as the model made them, and without those of other models."""
    if not _has_opaque_values(call.messages):
        return call, None
    marks = {_find_mark(deployment, place): place for place in Place}
    messages = tuple(replace(message, content=tuple(_restore_parts(message, marks))) for message in call.messages)
    count, kept = _count_opaque(call.messages), _count_opaque(messages)
    call = replace(call, messages=messages)
    return call, None if count == kept else _report(count, kept)


def _find_mark(deployment: Deployment, place: Place = Place.WITH_PART) -> str:
    return create_mark(deployment.litellm_model, deployment.base_model, place)


def _has_opaque_values(messages: tuple[Message, ...]) -> bool:
    for message in messages:
        for part in message.content:
            if part.signature or (type(part.content) is Reasoning and part.content.redacted):
                return True
    return False


def _is_opaque(part: Part) -> bool:
    return bool(part.signature or (isinstance(part.content, Reasoning) and part.content.redacted))


def _count_opaque(messages: tuple[Message, ...]) -> int:
    return sum(_is_opaque(part) for message in messages for part in message.content)


def _restore_parts(message: Message, marks: Mapping[str, Place]) -> Iterator[Part]:
    """Yields the parts with what the model of these marks made; a part is left out when nothing of it remains."""
    last: list[Part] = []
    for part in message.content:
        content, (signature, place) = part.content, _restore(part.signature, marks)
        if isinstance(content, Reasoning) and content.redacted:
            redacted, _ = _restore(content.redacted.decode(), marks)
            if redacted:
                yield replace(part, content=replace(content, redacted=redacted.encode()), signature=signature)
        elif isinstance(content, Reasoning) and not content.text and part.signature and not signature:
            continue
        elif place is not Place.WITH_PART and content != Text(""):
            yield replace(part, signature="")
            apart = Part(Text(""), signature)
            if place is Place.LAST:
                last.append(apart)
            else:
                yield apart
        elif signature == part.signature:
            yield part
        else:
            yield replace(part, signature=signature)
    yield from last


def _restore(value: str, marks: Mapping[str, Place]) -> tuple[str, Place]:
    """Returns the value without its mark, and its place; empty for a value with the mark of another model."""
    found = _MARK.match(value)
    if found is None:
        return value, Place.WITH_PART
    place = marks.get(found[0])
    return ("", Place.WITH_PART) if place is None else (value.removeprefix(found[0]), place)


def _report(count: int, kept: int) -> EffectiveSetting:
    return EffectiveSetting(
        "messages.content.signature",
        str(count),
        str(kept),
        EffectiveSettingCause.FOREIGN_SIGNATURE,
        "Signatures and redacted reasoning that another model made are left out.",
    )
