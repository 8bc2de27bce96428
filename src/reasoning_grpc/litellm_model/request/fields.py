"""The fields of a request behind the parameters of the OpenAI protocol."""

from collections.abc import Mapping
from typing import Final

FIELD_OF_PARAMETER: Final[Mapping[str, str]] = {
    "messages": "messages",
    "temperature": "sampling.temperature",
    "top_p": "sampling.top_p",
    "top_k": "sampling.top_k",
    "max_tokens": "sampling.max_output_tokens",
    "max_completion_tokens": "sampling.max_output_tokens",
    "stop": "sampling.stop_sequences",
    "seed": "sampling.seed",
    "presence_penalty": "sampling.presence_penalty",
    "frequency_penalty": "sampling.frequency_penalty",
    "logit_bias": "sampling.logit_bias",
    "logprobs": "sampling.logprobs",
    "top_logprobs": "sampling.top_logprobs",
    "tools": "tools",
    "tool_choice": "tool_choice",
    "parallel_tool_calls": "parallel_tool_calls",
    "response_format": "response_format",
    "reasoning_effort": "reasoning.effort",
    "thinking": "reasoning.budget_tokens",
    "user": "end_user",
}
"""The request field from which a parameter of the OpenAI dialect comes."""
