"""Differences of every provider, or of all but a few."""

from typing import Final

from tests.support.differential.documented.row import row

_WITHOUT_MARKS: Final = (
    "openai azure custom_openai cerebras moonshot nvidia_nim perplexity sambanova dashscope deepinfra lm_studio"
    " llamafile zai nebius groq deepseek mistral xai together_ai fireworks_ai hosted_vllm databricks gemini ollama_chat"
)

ROWS: Final = (
    row(
        "",
        "sampling.*",
        "default left out",
        documented="that the model does not take in a call, is left out of this call",
    ),
    row(
        _WITHOUT_MARKS,
        "messages[].content[].cache",
        "missing on .*",
        documented="Other providers cache by themselves, and get no marks",
    ),
)
"""The rows of the table."""
