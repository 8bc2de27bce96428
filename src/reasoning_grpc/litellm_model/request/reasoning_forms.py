"""Writes the reasoning of earlier answers in the form in which each provider of the OpenAI protocol takes it back.

The protocol has no place for reasoning, so every provider has its own. Some take it only in one of the two usual
members and refuse the other, some take none, and some refuse tool calls without it. The sources are the providers'
documentation and the texts of their errors; docs/providers.md describes each form.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec.structs import replace

from reasoning_grpc.domain import Deployment, EffectiveSetting, EffectiveSettingCause, Message, Reasoning
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.reasoning_details import write_detail
from reasoning_grpc.litellm_model.request.hosts import find_provider, is_within
from reasoning_grpc.litellm_model.request.kept_facts import keep_by_deployment
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model
from reasoning_grpc.llm import ModelCall

Messages = list[dict[str, Any]]


class ReasoningForm(StrEnum):
    """The place of reasoning in a message of the OpenAI protocol."""

    NONE = "NONE"
    """The provider takes no reasoning back."""
    REASONING_CONTENT = "REASONING_CONTENT"
    """The member `reasoning_content`."""
    REASONING = "REASONING"
    """The member `reasoning`. The provider refuses requests with the other one."""
    BOTH = "BOTH"
    """Both members, because the server reads one of them, and which one depends on the server and its version."""
    DETAILS = "DETAILS"
    """The member `reasoning_details` for what is signed or encrypted, and else `reasoning_content`."""
    PARTS = "PARTS"
    """A part of the content, before the text."""


_OF_PROVIDER: Final[Mapping[str, ReasoningForm]] = {
    "azure": ReasoningForm.NONE,
    "cerebras": ReasoningForm.REASONING,
    "custom_openai": ReasoningForm.BOTH,
    "databricks": ReasoningForm.NONE,
    "groq": ReasoningForm.REASONING,
    "hosted_vllm": ReasoningForm.BOTH,
    "mistral": ReasoningForm.PARTS,
    "openai": ReasoningForm.BOTH,
    "openrouter": ReasoningForm.DETAILS,
}
"""The forms of providers; other providers of the protocol read `reasoning_content`."""
_ANY_SERVER: Final = frozenset({"openai", "custom_openai"})
_STRICT_HOSTS: Final = ("api.openai.com", "openai.azure.com", "generativelanguage.googleapis.com")
"""Hosts that refuse messages with members that they do not know, and know none for reasoning."""
_BY_MODEL: Final = frozenset({"groq", "mistral"})
"""Providers that refuse reasoning in requests to models that do not reason."""
_BLANK: Final = " "


def leave_out_reasoning(call: ModelCall, deployment: Deployment) -> tuple[ModelCall, EffectiveSetting | None]:
    """Leaves out the reasoning of earlier answers where the provider takes none back, and reports how much it was."""
    count = 0
    for message in call.messages:
        for part in message.content:
            count += type(part.content) is Reasoning
    if not count or find_reasoning_form(deployment) is not ReasoningForm.NONE:
        return call, None
    setting = EffectiveSetting(
        "messages.content.reasoning",
        str(count),
        "0",
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The model takes back no reasoning of earlier answers.",
    )
    return replace(call, messages=tuple(map(_remove_reasoning, call.messages))), setting


@keep_by_deployment
def find_reasoning_form(deployment: Deployment) -> ReasoningForm:
    """Returns the form in which the provider of a deployment takes reasoning back."""
    provider = find_provider(deployment)
    if provider in _ANY_SERVER and _is_strict(deployment):
        return ReasoningForm.NONE
    if provider in _BY_MODEL and library.lacks_reasoning(f"{provider}/{_name_model(deployment)}"):
        return ReasoningForm.NONE
    return _OF_PROVIDER.get(provider, ReasoningForm.REASONING_CONTENT)


def write_reasoning(messages: Messages, deployment: Deployment) -> Messages:
    """Moves the reasoning of the messages, which is in `reasoning_content`, to its place."""
    provider, form = find_provider(deployment), find_reasoning_form(deployment)
    if provider == "moonshot" and not library.lacks_reasoning(f"{provider}/{_name_model(deployment)}"):
        _fill_reasoning(message for message in messages if message.get("tool_calls"))
    elif provider == "deepseek":
        _fill_reasoning(_list_answers_of_turns_with_calls(messages))
    write = _WRITERS[form]
    for message in messages:
        write(message)
    return messages


def _remove_reasoning(message: Message) -> Message:
    kept = tuple(part for part in message.content if not isinstance(part.content, Reasoning))
    return message if len(kept) == len(message.content) else replace(message, content=kept)


def _is_strict(deployment: Deployment) -> bool:
    """Whether the server of a deployment refuses reasoning by any name; without an address, it is OpenAI's."""
    return not deployment.api_base or any(is_within(deployment, domain) for domain in _STRICT_HOSTS)


def _name_model(deployment: Deployment) -> str:
    return name_deciding_model(deployment).partition("/")[2]


def _fill_reasoning(answers: Iterator[dict[str, Any]]) -> None:
    """Writes a blank for missing reasoning, where the provider refuses answers without any."""
    for answer in answers:
        if not answer.get("reasoning_content"):
            answer["reasoning_content"] = _BLANK


def _list_answers_of_turns_with_calls(messages: Messages) -> Iterator[dict[str, Any]]:
    """Yields the messages of the assistant between two questions of the user if one of them has tool calls."""
    turn: Messages = []
    for message in [*messages, {"role": "user"}]:
        if message["role"] == "assistant":
            turn.append(message)
        elif message["role"] == "user":
            if any(answer.get("tool_calls") for answer in turn):
                yield from turn
            turn = []


def _write_member(message: dict[str, Any]) -> None:
    """Leaves the reasoning where it is."""


def _rename_member(message: dict[str, Any]) -> None:
    message.pop("thinking_blocks", None)
    if (words := message.pop("reasoning_content", None)) is not None:
        message["reasoning"] = words


def _write_both_members(message: dict[str, Any]) -> None:
    if (words := message.get("reasoning_content")) is not None:
        message["reasoning"] = words


def _write_details(message: dict[str, Any]) -> None:
    if blocks := message.pop("thinking_blocks", None):
        message.pop("reasoning_content", None)
        message["reasoning_details"] = [write_detail(block) for block in blocks]


def _write_part(message: dict[str, Any]) -> None:
    message.pop("thinking_blocks", None)
    words, content = message.pop("reasoning_content", None), message.get("content") or []
    if words:
        texts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": words}]}, *texts]


def _drop_members(message: dict[str, Any]) -> None:
    message.pop("thinking_blocks", None)
    message.pop("reasoning_content", None)


_WRITERS: Final = {
    ReasoningForm.NONE: _drop_members,
    ReasoningForm.REASONING_CONTENT: _write_member,
    ReasoningForm.REASONING: _rename_member,
    ReasoningForm.BOTH: _write_both_members,
    ReasoningForm.DETAILS: _write_details,
    ReasoningForm.PARTS: _write_part,
}
