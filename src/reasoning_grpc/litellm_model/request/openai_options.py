"""The names that `provider_options` may have in only one of OpenAI's APIs, by the types of its SDK 2.54."""

from typing import Final

VERBOSITY: Final = "verbosity"
"""A parameter of Chat Completions that is a member of `text` in the Responses API."""
OF_CHAT_ALONE: Final = frozenset(
    {"audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens"}
    | {"max_tokens", "messages", "modalities", "n", "prediction", "presence_penalty", "reasoning_effort"}
    | {"response_format", "seed", "stop", "web_search_options"}
)
OF_RESPONSES_ALONE: Final = frozenset(
    {"background", "context_management", "conversation", "include", "input", "instructions", "max_output_tokens"}
    | {"max_tool_calls", "previous_response_id", "prompt", "reasoning", "text", "truncation"}
)
