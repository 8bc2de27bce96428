"""The amounts of reasoning that models take, by the documentation of their providers, and which of them is expected.

An independent copy of what the product knows: where both are wrong, no test notices.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

LADDER: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
TOKENS: Final = (512, 1024, 2048, 4096, 8192, 16384)
"""The number of tokens that stands for each effort of the ladder."""
_ANY: Final = f"none {' '.join(LADDER)}"

_TAKEN: Final = (
    (r"openrouter/", "none minimal low medium high xhigh budget"),
    (r"(openai|azure)/(gpt-4|gpt-5-chat|our-chat)", "never"),
    (r"openai/gpt-5\.2-chat", "medium"),
    (r"openai/gpt-5\.1-codex-max", "low medium high xhigh"),
    (r"(openai|azure)/gpt-5-pro", "high"),
    (r"(openai|azure)/gpt-5\.[45]-pro", "medium high xhigh"),
    (r"(openai|azure)/gpt-5\.1", "none low medium high"),
    (r"openai/gpt-5\.[2-6]", "none low medium high xhigh"),
    (r"azure/gpt-5\.4", "none minimal low medium high xhigh"),
    (r"(openai|azure)/gpt-5", "minimal low medium high"),
    (r"openai/gpt-6-luna", "none low medium high xhigh"),  # its entry names Chat Completions, which has no max
    (r"openai/gpt-6-sol", "none low medium high xhigh max"),
    (r"(openai/gpt-6-astra|(openai|azure)/gpt-6\.1)", "low medium high xhigh max"),
    (r"(openai|azure)/o[134]", "low medium high"),
    (r"databricks/.*claude-opus-4-7", "none low medium high max"),
    (r"(anthropic|bedrock/converse|databricks)/.*claude-(sonnet-4-5|haiku-4-5|3-7|opus-4-5|sonnet-4$)", "none budget"),
    (r"(anthropic|bedrock/converse)/.*claude-(opus|sonnet)-4-6", "none low medium high max budget"),
    (r"(anthropic|bedrock/converse)/.*claude-(opus-4-[78]|opus-5$|haiku-5)", "none low medium high xhigh max"),
    (r"(anthropic|bedrock/converse)/.*claude-((sonnet|opus)-5-5|fable-5)", "low medium high xhigh max"),
    (r"(anthropic|bedrock/converse)/.*claude", "never"),
    (r"databricks/databricks-gemini-2-5-pro", "budget"),
    (r"gemini/gemini-2\.0", "never"),
    (r"gemini/gemini-2\.5-pro", "budget"),
    (r"gemini/gemini-2\.5", "none budget"),
    (r"gemini/gemini-3-pro", "low high"),
    (r"gemini/gemini-3\.(1-pro|7-flash)", "low medium high"),
    (r"gemini/gemini-3(\.5)?-flash", "minimal low medium high"),
    (r"bedrock/.*nova-2", "none low medium high"),
    (r".*gpt-oss", "low medium high"),
    (r"bedrock/.*deepseek\.v3", _ANY),
    (r"bedrock/.*openai\.gpt-5\.4", "none low medium high xhigh"),
    (r"bedrock/", ""),
    (r"ollama_chat/|groq/qwen|cerebras/zai|zai/glm-4\.6|moonshot/kimi-k2\.[56]|together_ai/(Qwen|deepseek)", "none on"),
    (r"moonshot/moonshot-v1|xai/.*non-reasoning", "never"),
    (r"deepseek/", "none low high max"),
    (r"mistral/mistral-small-latest", "none high"),
    (r"mistral/magistral|xai/grok-4$|moonshot/kimi-k2\.7", ""),
    (r"moonshot/kimi-k3|mistral/zai-glm-5-3|zai/glm-5\.3|together_ai/.*Kimi-K3|fireworks_ai/.*kimi-k3", "low high max"),
    (r"together_ai/.*GLM-5\.3", "low medium high max"),
    (r"fireworks_ai/.*glm-5$", "none high max"),
    (r"zai/glm-5\.2", _ANY),
    (r"xai/grok-3-mini", "low high"),
    (r"xai/grok-4\.3", "none low medium high"),
    (r"xai/grok-4\.5", "low medium high"),
    (r"xai/grok-4\.6", "low medium high xhigh"),
    (r"perplexity/sonar-(reasoning|deep)", "minimal low medium high"),
    (r"dashscope/.*thinking", "budget"),
    (r"dashscope/", "none budget"),
    (r"litellm_proxy/", f"{_ANY} budget"),
)
"""Models by name, and the words of what they take: efforts, "budget", "on" for a mere switch, "never" for none."""


def list_taken(model: str) -> frozenset[str] | None:
    """Returns the words of what a model takes; None where nothing is known of it, and any effort is sent."""
    return next((frozenset(words.split()) for pattern, words in _TAKEN if re.match(pattern, model)), None)


def is_expected(asked: Any, left: Any, model: str) -> bool:
    """Whether the amount that left is the nearest that the model takes, in the form that it takes.

    A budget may be smaller than an effort asks for: the limit of the answer includes it.
    """
    taken = list_taken(model)
    if asked == "none":
        return left in ("none", None)
    levels = [level for level in LADDER if taken is None or level in taken]
    if isinstance(asked, int):
        if taken is not None and "budget" in taken:
            return isinstance(left, int)
        asked = next((LADDER[rank] for rank in reversed(range(len(LADDER))) if TOKENS[rank] <= asked), LADDER[0])
    rank = LADDER.index(asked)
    if levels:
        nearest = min(levels, key=lambda level: (abs(LADDER.index(level) - rank), LADDER.index(level)))
        return bool(left == nearest)
    if taken is not None and "on" in taken:
        return bool(left == "on")
    return isinstance(left, int) and (left <= TOKENS[rank] or asked in LADDER[:2])


def find_broken_amounts(amount: Any, model: str) -> Iterator[tuple[str, str]]:
    """Yields what is refused of an effort, or a number of tokens, that left for a model."""
    taken = list_taken(model)
    if amount in (None, "adaptive") or taken is None:  # a model that reasons adaptively decides without an effort
        return
    if isinstance(amount, int):
        if "budget" not in taken:
            yield "reasoning.budget_tokens", "the model takes no budget"
    elif amount not in taken:
        yield "reasoning.effort", f"the model does not take the effort {amount}"
