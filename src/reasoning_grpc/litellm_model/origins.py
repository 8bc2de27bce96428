"""The origin of opaque values: which model has signed or encrypted a part of an answer.

A provider refuses a conversation with a signature that another model made, and refuses it again each time. So every
signature, and all redacted reasoning, carries a mark of its model in what callers receive. On the way back, the mark
is removed for the same model, and the values of other models are left out. A value without a mark does not come from
this server; it is passed on as it is.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from typing import Final

from reasoning_grpc.domain import Deployment, EffectiveSetting, EffectiveSettingCause, Message, Part, Reasoning
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, ToolCallDelta
from reasoning_grpc.llm import ModelCall

_MARK: Final = re.compile(r"rg1-[\w-]{8}\.", re.ASCII)


@lru_cache(maxsize=1024)
def create_mark(litellm_model: str, base_model: str) -> str:
    """Returns the mark of a model. Its name cannot be read from it, because it may be internal to the operator."""
    digest = sha256(f"{litellm_model}\n{base_model}".encode()).digest()
    return f"rg1-{urlsafe_b64encode(digest[:6]).decode()}."


def mark_delta(delta: Delta, deployment: Deployment) -> Delta:
    """Returns the delta with its origin in its opaque values; a delta without such values is returned as it is."""
    match delta:
        case ReasoningDelta(redacted=redacted, signature=signature) if redacted or signature:
            mark = _find_mark(deployment)
            return replace(
                delta,
                redacted=redacted and mark.encode() + redacted,
                signature=signature and mark + signature,
            )
        case ContentDelta(signature=signature) | ToolCallDelta(signature=signature) if signature:
            return replace(delta, signature=_find_mark(deployment) + signature)
        case _:
            return delta


def leave_out_foreign_values(call: ModelCall, deployment: Deployment) -> tuple[ModelCall, EffectiveSetting | None]:
    """Returns the call with the values of its own model as the model made them, and without those of other models."""
    if not any(_is_opaque(part) for message in call.messages for part in message.content):
        return call, None
    mark = _find_mark(deployment)
    messages = tuple(replace(message, content=tuple(_restore_parts(message, mark))) for message in call.messages)
    count, kept = _count_opaque(call.messages), _count_opaque(messages)
    call = replace(call, messages=messages)
    return call, None if count == kept else _report(count, kept)


def _find_mark(deployment: Deployment) -> str:
    return create_mark(deployment.litellm_model, deployment.base_model)


def _is_opaque(part: Part) -> bool:
    return bool(part.signature or (isinstance(part.content, Reasoning) and part.content.redacted))


def _count_opaque(messages: tuple[Message, ...]) -> int:
    return sum(_is_opaque(part) for message in messages for part in message.content)


def _restore_parts(message: Message, mark: str) -> Iterator[Part]:
    """Yields the parts with what the model of this mark made; a part is left out when nothing of it remains."""
    for part in message.content:
        content, signature = part.content, _restore(part.signature, mark)
        if isinstance(content, Reasoning) and content.redacted:
            if redacted := _restore(content.redacted.decode(), mark):
                yield replace(part, content=replace(content, redacted=redacted.encode()), signature=signature)
        elif isinstance(content, Reasoning) and not content.text and part.signature and not signature:
            continue
        elif signature == part.signature:
            yield part
        else:
            yield replace(part, signature=signature)


def _restore(value: str, mark: str) -> str:
    """Returns the value without this mark; empty for a value with the mark of another model."""
    if value.startswith(mark):
        return value.removeprefix(mark)
    return "" if _MARK.match(value) else value


def _report(count: int, kept: int) -> EffectiveSetting:
    return EffectiveSetting(
        "messages.content.signature",
        str(count),
        str(kept),
        EffectiveSettingCause.FOREIGN_SIGNATURE,
        "Signatures and redacted reasoning that another model made are left out.",
    )
