"""The dialect of OpenAI's Responses API.

Source: OpenAI's reference of the API, and the types of its SDK 2.54. Which models take a temperature, litellm knows.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Media, Message, Part, Reasoning
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.item_signatures import read_signature
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Dialect
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import refuse_combined_tools
from reasoning_grpc.litellm_model.request.dialects.shared import report_each_name
from reasoning_grpc.llm import ModelCall

_MIN_OUTPUT_TOKENS: Final = 16
_MAX_END_USER: Final = 64


def refuse_parameters(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses the parameters that the API does not have, and values outside its limits."""
    sampling = call.sampling
    missing = {
        "seed": sampling.seed is not None,
        "top_k": sampling.top_k is not None,
        "stop_sequences": bool(sampling.stop_sequences),
        "presence_penalty": sampling.presence_penalty is not None,
        "frequency_penalty": sampling.frequency_penalty is not None,
        "logit_bias": bool(sampling.logit_bias),
    }
    yield from (FieldViolation(f"sampling.{name}", NOT_TAKEN) for name, is_set in missing.items() if is_set)
    limit = sampling.max_output_tokens
    if limit is not None and limit < _MIN_OUTPUT_TOKENS:
        yield FieldViolation("sampling.max_output_tokens", f"The model takes {_MIN_OUTPUT_TOKENS} or more.")
    if len(call.end_user) > _MAX_END_USER:
        yield FieldViolation("end_user", f"The model takes up to {_MAX_END_USER} characters.")


def refuse_audio(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses audio, for which the API has no input."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and part.content.mime_type.startswith("audio/"):
                yield FieldViolation(f"messages[{row}].content[{column}].media", NOT_TAKEN)


def leave_out_foreign_reasoning(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out reasoning without a signature of an item of this API, which takes back no other reasoning."""
    total = sum(isinstance(part.content, Reasoning) for message in call.messages for part in message.content)
    count = sum(_is_foreign(part) for message in call.messages for part in message.content)
    if not count:
        return call, None
    setting = EffectiveSetting(
        "messages.content.reasoning",
        str(total),
        str(total - count),
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider takes back only reasoning that the model has signed.",
    )
    return replace(call, messages=tuple(map(_leave_out_foreign, call.messages))), setting


def _leave_out_foreign(message: Message) -> Message:
    kept = tuple(part for part in message.content if not _is_foreign(part))
    return message if len(kept) == len(message.content) else replace(message, content=kept)


def _is_foreign(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and "id" not in read_signature(part.signature)


RESPONSES: Final = Dialect(
    refusals=(refuse_parameters, refuse_audio, refuse_combined_tools),
    reports=(report_each_name,),
    changes=(leave_out_foreign_reasoning,),
)
