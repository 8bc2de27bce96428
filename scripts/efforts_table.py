"""Writes the tables about the amount of reasoning in docs/providers.md; a test fails when they are out of date.

What a row says is what the adapter knows of the models in it.
"""

import re
import sys
from typing import Final

from reasoning_grpc.domain import TOKENS_OF_EFFORT, ReasoningEffort
from reasoning_grpc.litellm_model.request.dialects.amounts import Amounts, TokenRange, describe_amounts
from scripts.pages import ROOT

PAGE: Final = ROOT / "docs" / "providers.md"
MODELS: Final = (
    ("openai/o3", "openai/o4-mini"),
    ("openai/gpt-5", "openai/gpt-5-mini"),
    ("openai/gpt-5.1",),
    ("openai/gpt-5.4", "openai/gpt-5.6"),
    ("openai/gpt-5.4-pro",),
    ("openai/gpt-6-sol",),
    ("openai/gpt-6.1-sol", "azure/gpt-6.1-sol"),
    ("openai/gpt-4o", "gemini/gemini-2.0-flash", "moonshot/moonshot-v1-128k"),
    ("anthropic/claude-sonnet-4-5", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    ("anthropic/claude-opus-4-6", "anthropic/claude-sonnet-4-6"),
    ("anthropic/claude-opus-4-8", "anthropic/claude-opus-5", "bedrock/us.anthropic.claude-opus-4-8"),
    ("anthropic/claude-opus-5-5",),
    ("bedrock/us.amazon.nova-2-lite-v1:0",),
    ("gemini/gemini-2.5-pro",),
    ("gemini/gemini-2.5-flash",),
    ("gemini/gemini-2.5-flash-lite",),
    ("gemini/gemini-3-pro-preview",),
    ("gemini/gemini-3.1-pro-preview", "gemini/gemini-3.8-flash"),
    ("gemini/gemini-3-flash-preview", "gemini/gemini-3.5-flash"),
    ("groq/openai/gpt-oss-120b", "hosted_vllm/openai/gpt-oss-20b", "bedrock/openai.gpt-oss-120b-1:0"),
    ("deepseek/deepseek-v4-pro",),
    ("mistral/mistral-small-latest",),
    ("mistral/magistral-medium-latest", "xai/grok-4", "moonshot/kimi-k2.7-code"),
    ("xai/grok-3-mini",),
    ("xai/grok-4.3",),
    ("xai/grok-4.6",),
    ("moonshot/kimi-k3", "zai/glm-5.3", "fireworks_ai/kimi-k3", "together_ai/moonshotai/Kimi-K3"),
    (
        "zai/glm-4.6",
        "moonshot/kimi-k2.6",
        "groq/qwen/qwen3.8-27b",
        "together_ai/Qwen/Qwen3.6-Plus",
        "ollama_chat/qwen3",
    ),
    ("dashscope/qwen-plus",),
    ("perplexity/sonar-deep-research",),
    ("openrouter/anthropic/claude-opus-5",),
    ("litellm_proxy/our-model",),
    ("openai/our-model", "hosted_vllm/our-model"),
)
"""Models, together where they take the same."""
_ORDER: Final = tuple(ReasoningEffort)


def build_models_table() -> str:
    """Returns the table of what models take."""
    head = ["", "| model | efforts | tokens |", "|---|---|---|"]
    return "\n".join([*head, *map(_build_row, MODELS), "", ""])


def build_tokens_table() -> str:
    """Returns the table of the numbers of tokens that stand for efforts."""
    efforts, tokens = zip(*TOKENS_OF_EFFORT.items(), strict=True)
    rows = [["effort", *efforts], ["---"] * (len(efforts) + 1), ["tokens", *map(str, tokens)]]
    return "\n".join(["", *("| " + " | ".join(row) + " |" for row in rows), "", ""])


def replace_tables(page: str) -> str:
    """Returns the page with the tables as they must be."""
    page = _replace(page, "tokens", build_tokens_table())
    return _replace(page, "amounts", build_models_table())


def main() -> int:
    """Writes the tables into the page."""
    PAGE.write_text(replace_tables(PAGE.read_text("utf-8")), "utf-8")
    return 0


def _replace(page: str, name: str, table: str) -> str:
    block = re.compile(rf"(<!-- {name}:[^\n]*-->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    return block.sub(lambda found: found[1] + table + found[2], page)


def _build_row(models: tuple[str, ...]) -> str:
    amounts = describe_amounts(models[0])
    assert all(describe_amounts(model) == amounts for model in models), models
    names = ", ".join(f"`{model}`" for model in models)
    return f"| {names} | {_describe_efforts(amounts)} | {_describe_tokens(amounts.budget)} |"


def _describe_efforts(amounts: Amounts) -> str:
    if amounts.efforts is None:
        return "not known: each is sent as it is"
    if not amounts.can_reason:
        return "NONE: it does not reason" if amounts.can_rest else "none: it reasons as it decides"
    rest = ["NONE"] if amounts.can_rest else []
    if amounts.is_switch:
        return f"{', '.join([*rest, 'on'])}: it has no levels"
    return ", ".join([*rest, *(effort.value for effort in _ORDER if effort in amounts.levels)]) or "none"


def _describe_tokens(budget: TokenRange | None) -> str:
    if budget is None:
        return "none"
    return f"{budget.least} or more" if budget.most is None else f"{budget.least} to {budget.most}"


if __name__ == "__main__":
    sys.exit(main())
