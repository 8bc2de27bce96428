"""The names of OpenInference's conventions that our spans have, from which viewers such as Phoenix know what a span is.

They stand beside the names of OpenTelemetry's own conventions. Each attribute is a plain value, never one of
OpenInference's flattened lists of messages: the SDK keeps 128 attributes of a span, so that a long conversation would
push out all others. Viewers read messages from the attributes of the GenAI conventions.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class OpenInference(StrEnum):
    """The name of an attribute."""

    SPAN_KIND = "openinference.span.kind"
    AGENT_NAME = "agent.name"
    INPUT_VALUE = "input.value"
    INPUT_MIME_TYPE = "input.mime_type"
    OUTPUT_VALUE = "output.value"
    OUTPUT_MIME_TYPE = "output.mime_type"
    LLM_FINISH_REASON = "llm.finish_reason"
    LLM_INVOCATION_PARAMETERS = "llm.invocation_parameters"
    LLM_MODEL_NAME = "llm.model_name"
    LLM_PROVIDER = "llm.provider"
    LLM_SYSTEM = "llm.system"
    METADATA = "metadata"
    SESSION_ID = "session.id"
    TOOL_ID = "tool.id"
    TOOL_NAME = "tool.name"
    TOOL_PARAMETERS = "tool.parameters"
    USER_ID = "user.id"


SYSTEMS_BY_WIRE: Final[Mapping[str, str]] = {"chat": "openai", "responses": "openai", "messages": "anthropic"}
"""The name of the one whose API a model call goes through, whoever serves it."""
TOKEN_COUNTS: Final[Mapping[str, str]] = {
    "input_tokens": "llm.token_count.prompt",
    "output_tokens": "llm.token_count.completion",
    "total_tokens": "llm.token_count.total",
    "cached_input_tokens": "llm.token_count.prompt_details.cache_read",
    "cache_write_tokens": "llm.token_count.prompt_details.cache_write",
    "audio_input_tokens": "llm.token_count.prompt_details.audio",
    "reasoning_tokens": "llm.token_count.completion_details.reasoning",
}
"""The attribute of each count of a `Usage`. Viewers add up those of a trace, so only model calls have them."""


class ViewerKind(StrEnum):
    """The kind of a span."""

    AGENT = "AGENT"
    """A call that the agent serves."""
    CHAIN = "CHAIN"
    """Work that connects others: a direct answer, a step, a classification."""
    LLM = "LLM"
    """An attempt at a model call."""
    TOOL = "TOOL"
    """A call of a tool."""


class MimeType(StrEnum):
    """The type of an input or output."""

    TEXT = "text/plain"
    JSON = "application/json"
