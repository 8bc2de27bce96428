"""Adapts messages of the OpenAI protocol to providers that take less than OpenAI, or take it in another form.

What litellm would do to these messages is done here, without losing anything in silence. Measured on litellm 1.106.2;
docs/providers.md describes it.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Final

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from reasoning_grpc.litellm_model.request.reasoning_forms import write_reasoning

Messages = list[dict[str, Any]]
_Adaptation = Callable[[Messages, str], Messages]
"""Returns the messages as a provider takes them; the second argument is the name of the model that decides."""

_BREAK: Final = "\n\n"
"""The separator of texts that become one."""
_CACHED_BY_OPENROUTER: Final = ("claude", "gemini", "glm", "minimax", "z-ai")
"""Parts of the names of models that OpenRouter lets cache what is marked."""


def adapt_messages(messages: Messages, deployment: Deployment) -> Messages:
    """Returns the messages as the provider takes them. The messages are those of this call alone."""
    if deployment.provider in SPEAKS_OPENAI:
        messages = write_reasoning(messages, deployment)
    for adapt in _OF_PROVIDER.get(deployment.provider, ()):
        messages = adapt(messages, deployment.deciding_model)
    return messages


def _join_texts(messages: Messages, _model: str) -> Messages:
    """Makes one text of a message of several texts, because the provider takes lists only for media."""
    for message in messages:
        parts = message.get("content")
        if isinstance(parts, list) and all(part["type"] == "text" for part in parts):
            message["content"] = _BREAK.join(part["text"] for part in parts)
    return messages


def _drop_members(*names: str) -> _Adaptation:
    def drop(messages: Messages, _model: str) -> Messages:
        for message in messages:
            for name in names:
                message.pop(name, None)
        return messages

    return drop


def _drop_names(messages: Messages, _model: str) -> Messages:
    """Drops the names of all authors but users."""
    for message in messages:
        if message["role"] != "user":
            message.pop("name", None)
    return messages


def _drop_signatures_of_calls(messages: Messages, _model: str) -> Messages:
    for message in messages:
        for call in message.get("tool_calls", ()):
            call.pop("provider_specific_fields", None)
    return messages


def _write_refusals_as_text(messages: Messages, _model: str) -> Messages:
    for message in messages:
        if refusal := message.pop("refusal", ""):
            content = message.get("content") or []
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            message["content"] = [*parts, {"type": "text", "text": refusal}] if parts else refusal
    return messages


def _leave_out_empty_answers(messages: Messages, _model: str) -> Messages:
    """Leaves out messages of the assistant without text and calls, which the provider refuses."""
    return [
        message
        for message in messages
        if message["role"] != "assistant" or message.get("content") or message.get("tool_calls")
    ]


def _write_audio_as_text(messages: Messages, _model: str) -> Messages:
    """Writes audio as Mistral takes it, which recognizes the format by itself."""
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] == "input_audio":
                part["input_audio"] = part["input_audio"]["data"]
    return messages


def _place_cache_marks(messages: Messages, model: str) -> Messages:
    """Drops the marks for models that take none, and puts the mark of a tool result into its content."""
    takes_marks = any(name in model.lower() for name in _CACHED_BY_OPENROUTER)
    for message in messages:
        mark = message.pop("cache_control", None)
        content = message.get("content")
        if not takes_marks and isinstance(content, list):
            for part in content:
                part.pop("cache_control", None)
        elif takes_marks and mark is not None and isinstance(content, str):
            message["content"] = [{"type": "text", "text": content, "cache_control": mark}]
    return messages


def _follow_calls_by_results(messages: Messages, model: str) -> Messages:
    """Joins neighbouring messages of the system, and gives each call of a message its own message before its result.

    Models on Databricks other than Claude require both.
    """
    return messages if "claude" in model.lower() else list(_split_calls(_join_systems(messages)))


def _join_systems(messages: Messages) -> Messages:
    joined: Messages = []
    for message in messages:
        if joined and message["role"] == joined[-1]["role"] == "system":
            joined[-1]["content"] = f"{joined[-1]['content']}{_BREAK}{message['content']}"
        else:
            joined.append(message)
    return joined


def _split_calls(messages: Messages) -> Iterator[dict[str, Any]]:
    """Yields the messages with the calls of each message apart, where every one of them has its result."""
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        calls = message.get("tool_calls", ())
        results = list(takewhile(_is_result, messages[position:])) if len(calls) > 1 else []
        by_id: Mapping[str, Any] = {call["id"]: call for call in calls}
        is_answered = len(results) == len(calls) and by_id.keys() == {result["tool_call_id"] for result in results}
        if not results or not is_answered:
            yield message
            continue
        for result in results:
            yield {**message, "tool_calls": [by_id[result["tool_call_id"]]]}
            yield result
            message = {"role": "assistant"}
        position += len(results)


def _is_result(message: dict[str, Any]) -> bool:
    return bool(message["role"] == "tool")


_WITHOUT_SIGNATURES: Final = _drop_members("thinking_blocks")
_OF_PROVIDER: Final[Mapping[str, tuple[_Adaptation, ...]]] = {
    "databricks": (
        _write_refusals_as_text,
        _join_texts,
        _drop_names,
        _leave_out_empty_answers,
        _follow_calls_by_results,
    ),
    "deepseek": (_join_texts,),
    "fireworks_ai": (_WITHOUT_SIGNATURES,),
    "hosted_vllm": (_WITHOUT_SIGNATURES,),
    "mistral": (
        _write_refusals_as_text,
        _drop_members("name"),
        _drop_signatures_of_calls,
        _leave_out_empty_answers,
        _write_audio_as_text,
    ),
    "moonshot": (_join_texts,),
    "openrouter": (_place_cache_marks,),
    "sambanova": (_join_texts,),
    "together_ai": (_WITHOUT_SIGNATURES,),
    "xai": (_drop_names,),
}
