"""Removes the reasoning of earlier answers that a provider does not take back."""

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Message, Part, Reasoning
from reasoning_grpc.litellm_model.request.dialects.shared import report_lost
from reasoning_grpc.llm import ModelCall

_NOT_OPAQUE = "The provider takes back reasoning in words alone, without signatures."


def leave_out_unsigned_reasoning(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out reasoning in words without a signature, which some providers refuse."""
    count = sum(_is_unsigned(part) for message in call.messages for part in message.content)
    if not count:
        return call, None
    total = sum(isinstance(part.content, Reasoning) for message in call.messages for part in message.content)
    setting = EffectiveSetting(
        "messages.content.reasoning",
        str(total),
        str(total - count),
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider takes back only reasoning that the model has signed.",
    )
    return replace(call, messages=tuple(map(_leave_out_unsigned, call.messages))), setting


def _leave_out_unsigned(message: Message) -> Message:
    kept = tuple(part for part in message.content if not _is_unsigned(part))
    return message if len(kept) == len(message.content) else replace(message, content=kept)


def _is_unsigned(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and not part.content.redacted and not part.signature


def leave_out_opaque_reasoning(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out what only another provider can read: redacted reasoning, and signatures of reasoning."""
    lost: list[tuple[str, str]] = []
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            path = f"messages[{row}].content[{column}]"
            if _is_redacted(part):
                lost.append((f"{path}.reasoning", "redacted reasoning"))
            elif isinstance(part.content, Reasoning) and part.signature:
                lost.append((f"{path}.signature", "signature of reasoning"))
    if not lost:
        return call, None
    messages = tuple(
        replace(message, content=tuple(part for part in message.content if not _is_redacted(part)))
        for message in call.messages
    )
    return replace(call, messages=messages), report_lost(lost, _NOT_OPAQUE)


def _is_redacted(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and bool(part.content.redacted)
