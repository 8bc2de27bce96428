"""The prefixes of litellm's that the server promises: recorded answers of each pass through the running server.

The table in docs/providers.md is written from this one and from the recordings. The way of a prefix is in providers.py.
"""

from collections.abc import Mapping
from typing import Final

PROMISED: Final[Mapping[str, str]] = {
    "azure": "OpenAI",
    "cerebras": "OpenAI",
    "custom_openai": "OpenAI",
    "dashscope": "OpenAI",
    "deepinfra": "OpenAI",
    "litellm_proxy": "OpenAI",
    "llamafile": "OpenAI",
    "lm_studio": "OpenAI",
    "moonshot": "OpenAI",
    "nebius": "OpenAI",
    "nvidia_nim": "OpenAI",
    "openai": "OpenAI",
    "perplexity": "OpenAI",
    "sambanova": "OpenAI",
    "zai": "OpenAI",
    "databricks": "OpenAI",
    "deepseek": "OpenAI",
    "fireworks_ai": "OpenAI",
    "groq": "OpenAI",
    "hosted_vllm": "OpenAI",
    "mistral": "OpenAI",
    "openrouter": "OpenAI",
    "together_ai": "OpenAI",
    "xai": "OpenAI",
    # Protocols of the provider's own.
    "anthropic": "Anthropic",
    "bedrock": "Bedrock",
    "gemini": "Gemini",
    "ollama_chat": "Ollama",
}
"""The promised prefixes, with the protocol of each. Other prefixes need `untested = true` in the entry of a model."""
