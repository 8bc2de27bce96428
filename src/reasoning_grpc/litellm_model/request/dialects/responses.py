"""The dialect of OpenAI's Responses API.

Sources: OpenAI's reference of the API, the types of its SDK 2.54, and its guide to reasoning models. Which models take
a temperature, litellm knows.
"""

import dataclasses
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    Wire,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.item_signatures import read_signature
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Dialect
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import refuse_combined_tools
from reasoning_grpc.litellm_model.request.dialects.shared import report_each_name
from reasoning_grpc.litellm_model.request.openai_models import describe_openai_model
from reasoning_grpc.litellm_model.request.openai_options import OF_CHAT_ALONE
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


def refuse_options_of_chat(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses options of the provider's that only Chat Completions has."""
    for name in sorted(call.provider_options.keys() & OF_CHAT_ALONE):
        yield FieldViolation(f"provider_options[{name}]", NOT_TAKEN)


def refuse_sampling_while_reasoning(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses what a model does not take while it reasons, where litellm passes it on."""
    facts, sampling, effort = describe_openai_model(model), call.sampling, call.reasoning.effort
    is_off = facts.default_effort == "none" if effort is None else effort is ReasoningEffort.NONE
    always_reasons = facts.is_series_o or facts.wires == {Wire.RESPONSES}
    if not facts.reasons or (is_off and not always_reasons):
        return
    if sampling.logprobs:
        yield FieldViolation("sampling.logprobs", NOT_TAKEN)
    if sampling.top_logprobs is not None:
        yield FieldViolation("sampling.top_logprobs", NOT_TAKEN)
    if facts.is_series_o and sampling.temperature not in (None, 1):
        yield FieldViolation("sampling.temperature", NOT_TAKEN)
    if facts.is_series_o and sampling.top_p not in (None, 1):
        yield FieldViolation("sampling.top_p", NOT_TAKEN)


def needs_chat(call: ModelCall) -> bool:
    """Whether a call holds what Chat Completions takes, and the Responses API does not."""
    refusals = (refuse_parameters, refuse_audio, refuse_options_of_chat)
    return any(any(refuse(call, "")) for refuse in refusals)


def is_item_signature(signature: str) -> bool:
    """Whether a signature is that of a reasoning item of this API."""
    return "id" in read_signature(signature)


def leave_out_foreign_reasoning(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out reasoning without the signature of an item, because the API takes back only its own items.

    It also leaves out the reasoning at the end of an answer, which was cut before a text or a call: the API refuses a
    reasoning item that no other item of the answer follows.
    """
    total = sum(isinstance(part.content, Reasoning) for message in call.messages for part in message.content)
    kept = tuple(map(_leave_out_foreign, call.messages))
    count = sum(isinstance(part.content, Reasoning) for message in kept for part in message.content)
    if count == total:
        return call, None
    setting = EffectiveSetting(
        "messages.content.reasoning",
        str(total),
        str(count),
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider takes back only reasoning that the model has signed, and that led to a text or a call.",
    )
    return replace(call, messages=kept), setting


def _leave_out_foreign(message: Message) -> Message:
    kept = tuple(part for part in message.content if not _is_foreign(part))
    while kept and isinstance(kept[-1].content, Reasoning):
        kept = kept[:-1]
    return message if len(kept) == len(message.content) else replace(message, content=kept)


def _is_foreign(part: Part) -> bool:
    return isinstance(part.content, Reasoning) and not is_item_signature(part.signature)


RESPONSES: Final = Dialect(
    refusals=(
        refuse_parameters,
        refuse_audio,
        refuse_combined_tools,
        refuse_options_of_chat,
        refuse_sampling_while_reasoning,
    ),
    reports=(report_each_name,),
    changes=(leave_out_foreign_reasoning,),
)
RESPONSES_OF_OTHERS: Final = dataclasses.replace(
    RESPONSES,
    refusals=(refuse_parameters, refuse_audio, refuse_sampling_while_reasoning),
)
"""Servers that copy the API take schemas of any form, and may have parameters of their own."""
