"""Differences of every provider, or of all but a few."""

from typing import Final

from tests.support.differential.documented.row import row
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference
from tests.support.wire_meaning.amounts import is_expected, list_taken

_WITHOUT_MARKS: Final = (
    "openai azure custom_openai cerebras moonshot nvidia_nim perplexity sambanova dashscope deepinfra lm_studio"
    " llamafile zai nebius groq deepseek mistral xai together_ai fireworks_ai hosted_vllm databricks gemini ollama_chat"
)


def _is_nearest(difference: Difference, target: Target) -> bool:
    """Whether an amount of reasoning became the nearest that the model takes."""
    return is_expected(difference.asked, difference.left, target.reasoning_model)


def _needs_no_word(difference: Difference, target: Target) -> bool:
    """Whether a model does not reason unless a request says so."""
    taken = list_taken(target.reasoning_model) or frozenset()
    on_request = "claude" in target.litellm_model or "nova-2" in target.litellm_model
    return difference.asked == "none" and ("never" in taken or on_request)


ROWS: Final = (
    row("", "reasoning.effort|reasoning.budget_tokens", "changed", is_reported=True, holds=_is_nearest),
    row("", "reasoning.effort", "as a budget", is_reported=True, holds=_is_nearest),
    row("", "reasoning.budget_tokens", "as an effort", is_reported=True, holds=_is_nearest),
    row(
        "",
        "reasoning.effort",
        "missing",
        documented="NONE is not sent to a model that reasons only on request, or never",
        holds=_needs_no_word,
    ),
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
