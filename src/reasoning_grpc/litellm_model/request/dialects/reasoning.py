"""What providers take back of the reasoning in earlier answers."""

from dataclasses import replace

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Message, Part, Reasoning
from reasoning_grpc.llm import ModelCall


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
