"""Refusals and changes for OpenAI, and for the providers that copy its protocol. Measured on litellm 1.106.2.

What Anthropic's models on Databricks take is in `claude.reasoning`.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    Media,
    Role,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Change, Refusal
from reasoning_grpc.litellm_model.request.dialects.shared import refuse_json_object
from reasoning_grpc.llm import ModelCall

_OF_SERIES_O: Final = re.compile(r"/o\d")
_WITHOUT_STOP: Final = re.compile(r"/o(?!1|3-mini)\d")
_TEXT_ONLY: Final = "The model takes only text."
_NO_DOCUMENTS: Final = "The model takes no documents."


def refuse_media(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses media for a provider whose messages are plain texts."""
    for path, _ in _list_media(call):
        yield FieldViolation(path, _TEXT_ONLY)


def refuse_documents(call: ModelCall, _model: str) -> Iterator[FieldViolation]:
    """Refuses media that are neither images nor audio."""
    for path, media in _list_media(call):
        if media.mime_type.partition("/")[0] not in {"image", "audio"}:
            yield FieldViolation(path, _NO_DOCUMENTS)


def refuse_parameters_of_series_o(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses what the models of OpenAI's series o do not take, where litellm passes it on.

    Source: OpenAI's and Microsoft's documentation of reasoning models, "not supported with o3 and o4-mini".
    """
    if call.sampling.logit_bias and _OF_SERIES_O.search(model):
        yield FieldViolation("sampling.logit_bias", NOT_TAKEN)
    if call.sampling.stop_sequences and _WITHOUT_STOP.search(model):
        yield FieldViolation("sampling.stop_sequences", NOT_TAKEN)


def refuse_penalties_while_reasoning(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses stop sequences and penalties for a model that reasons; litellm knows this of some of them.

    Source: xAI's documentation of reasoning, by which adding any of them results in an error.
    """
    sampling = call.sampling
    given = {
        "stop_sequences": bool(sampling.stop_sequences),
        "presence_penalty": sampling.presence_penalty is not None,
        "frequency_penalty": sampling.frequency_penalty is not None,
    }
    if any(given.values()) and library.has_reasoning(model):
        yield from (FieldViolation(f"sampling.{name}", NOT_TAKEN) for name, is_given in given.items() if is_given)


def refuse_json_object_of_claude(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses JSON mode where the model is one of Anthropic's."""
    return refuse_json_object(call, model) if _is_claude(model) else iter(())


def refuse_for_claude(refuse: Refusal) -> Refusal:
    """Returns a refusal that holds only for the models of Anthropic."""
    return lambda call, model: refuse(call, model) if _is_claude(model) else iter(())


def change_for_claude(change: Change) -> Change:
    """Returns a change that holds only for the models of Anthropic."""
    return lambda call, model: change(call, model) if _is_claude(model) else (call, None)


def leave_out_lax_tools(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out that a tool is not strict, which is the rule for a provider that does not know the word."""
    if all(tool.strict is None for tool in call.tools):
        return call, None
    return replace(call, tools=tuple(replace(tool, strict=None) for tool in call.tools)), None


def report_names_but_of_users(call: ModelCall, _model: str) -> Iterator[EffectiveSetting]:
    """Reports the names of authors who are no users, for a provider that takes only the names of users."""
    for row, message in enumerate(call.messages):
        if message.name and message.role is not Role.USER:
            yield _report(f"messages[{row}].name", message.name, "", "The provider takes only the names of users.")


def report_strict_schemas_by_tool(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports a strict schema where the model can only write its answer as the arguments of a forced tool call."""
    response_format = call.response_format
    if response_format is None or not response_format.strict:
        return
    is_by_tool = _is_claude(model) if model.startswith("databricks/") else not library.has_response_schemas(model)
    if is_by_tool:
        reason = "The model gets the schema as that of a tool, to whose arguments the provider does not hold it."
        yield _report("response_format.json_schema.strict", "true", "false", reason)


def _is_claude(model: str) -> bool:
    return "claude" in model


def _list_media(call: ModelCall) -> Iterator[tuple[str, Media]]:
    """Yields all media of a call, each with the path of its field."""
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media):
                yield f"messages[{row}].content[{column}].media", part.content


def _report(path: str, requested: str, effective: str, reason: str) -> EffectiveSetting:
    return EffectiveSetting(path, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)
