"""The models whose amounts of reasoning litellm's price map does not say, or says wrongly, by their names.

The source of each row is the provider's own documentation of reasoning, as of November 2026. The first row that fits a
name counts; a model without a row is looked up in the price map. Claude's models are in `claude.models`.
"""

import re
from typing import Final

from reasoning_grpc.domain import ReasoningEffort
from reasoning_grpc.litellm_model.request.dialects.amounts.amount import Amounts, TokenRange

_NONE, _MINIMAL, _LOW, _MEDIUM, _HIGH, _XHIGH, _MAX = ReasoningEffort


def _take(*efforts: ReasoningEffort) -> Amounts:
    return Amounts(efforts=frozenset(efforts))


NOTHING: Final = _take()
"""The amounts of a model that always reasons as it decides."""
NEVER: Final = Amounts(efforts=frozenset({_NONE}), reasons_on_request=True)
"""The amounts of a model that does not reason."""
_LOW_TO_HIGH: Final = _take(_LOW, _MEDIUM, _HIGH)
_LOW_TO_XHIGH: Final = _take(_LOW, _MEDIUM, _HIGH, _XHIGH)
_LOW_HIGH_MAX: Final = _take(_LOW, _HIGH, _MAX)
_SWITCH: Final = Amounts(efforts=frozenset({_NONE}), is_switch=True)


def _budget(least: int, most: int | None = None, *, can_rest: bool = True) -> Amounts:
    return Amounts(efforts=frozenset({_NONE} if can_rest else ()), budget=TokenRange(least, most))


_ROWS: Final[tuple[tuple[str, str, Amounts], ...]] = (
    # A proxy and a router convert both forms for the model behind them.
    ("litellm_proxy", r"", Amounts(budget=TokenRange())),
    # https://openrouter.ai/docs/use-cases/reasoning-tokens
    ("openrouter", r"", Amounts(efforts=frozenset(ReasoningEffort) - {_MAX}, budget=TokenRange())),
    # The pages of the models at https://platform.openai.com/docs/models list their efforts.
    ("openai azure", r"(gpt-[34]|chatgpt-4o|gpt-5-chat)", NEVER),
    ("openai azure", r"gpt-5-search", NOTHING),
    ("openai azure", r"gpt-5\.\d+-chat", _take(_MEDIUM)),
    ("openai azure", r"o1-(mini|preview)", NOTHING),
    ("openai azure", r"o\d", _LOW_TO_HIGH),
    ("openai azure", r"gpt-5-pro", _take(_HIGH)),
    ("openai azure", r"gpt-5\.[2-9]-pro", _take(_MEDIUM, _HIGH, _XHIGH)),
    ("openai azure", r"gpt-5\.(1-codex-max|2-codex)", _LOW_TO_XHIGH),
    ("openai azure", r"(gpt-5(\.1)?-codex|codex-mini)", _LOW_TO_HIGH),
    # https://ai.google.dev/gemini-api/docs/thinking: budgets up to version 2.5, levels from version 3 on
    ("gemini vertex_ai", r"gemini-(1|2\.0|exp|(pro|flash)(?!-(lite-)?latest$))", NEVER),
    ("gemini vertex_ai", r"gemini-2\.5-pro", _budget(128, 32768, can_rest=False)),
    ("databricks", r"databricks-gemini-2-5-pro", _budget(128, 32768, can_rest=False)),
    ("gemini vertex_ai", r"gemini-2\.5-flash-lite", _budget(512, 24576)),
    ("gemini vertex_ai", r"gemini-2", _budget(1, 24576)),
    ("databricks", r"databricks-gemini-2-5", _budget(1, 24576)),
    ("gemini vertex_ai", r"gemini-3-pro", _take(_LOW, _HIGH)),
    ("gemini vertex_ai", r"gemini-(?!3\.[7-9]|[4-9]).*flash", _take(_MINIMAL, _LOW, _MEDIUM, _HIGH)),
    ("gemini vertex_ai", r"gemini-", _LOW_TO_HIGH),
    # https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html
    ("bedrock", r".*nova-2", Amounts(efforts=frozenset({_NONE, _LOW, _MEDIUM, _HIGH}), reasons_on_request=True)),
    # https://openai.com/index/introducing-gpt-oss: three levels, and no way to switch it off, wherever it is served
    ("", r".*gpt-oss", _LOW_TO_HIGH),
    # Converse has no form for the efforts of other models; litellm would send them Claude's.
    ("bedrock", r"(?!arn:|.*(openai\.gpt|deepseek\.v))", NOTHING),
    ("ollama_chat", r"", _SWITCH),  # https://docs.ollama.com/capabilities/thinking
    # https://api-docs.deepseek.com/guides/thinking_mode
    ("deepseek", r"", _take(_NONE, _LOW, _HIGH, _MAX)),
    # https://console.groq.com/docs/reasoning
    ("groq", r".*qwen", _SWITCH),
    # https://inference-docs.cerebras.ai/capabilities/reasoning
    ("cerebras", r"zai-glm", _SWITCH),
    # https://docs.mistral.ai/capabilities/reasoning
    ("mistral", r"magistral", NOTHING),
    # https://docs.x.ai/developers/model-capabilities/text/reasoning
    ("xai", r"grok.*non-reasoning", NEVER),
    ("xai", r"grok-3-mini", _take(_LOW, _HIGH)),
    ("xai", r"grok-4\.20-multi-agent", _LOW_TO_XHIGH),
    ("xai", r"grok-4\.3", _take(_NONE, _LOW, _MEDIUM, _HIGH)),
    ("xai", r"grok-4\.5", _LOW_TO_HIGH),
    ("xai", r"grok-4\.[6-9]", _LOW_TO_XHIGH),
    ("xai", r"grok-(4|code)", NOTHING),
    # https://docs.together.ai/docs/inference/chat/reasoning
    ("together_ai", r".*/GLM-5\.3", _take(_LOW, _MEDIUM, _HIGH, _MAX)),
    ("together_ai", r".*/(DeepSeek-V(3\.1|4)|GLM-(4|5)|Kimi-K2\.[56]|Qwen3\.|cogito-v2)", _SWITCH),
    ("together_ai", r".*/(DeepSeek-R1|Kimi-K2-Thinking|MiniMax-M2)", NOTHING),
    # https://docs.fireworks.ai/guides/reasoning
    ("fireworks_ai", r".*/(kimi-k2(p\d+)?$|kimi-k2-thinking)", _LOW_TO_HIGH),
    ("fireworks_ai", r".*/glm-5(p[0-2])?$", _take(_NONE, _HIGH, _MAX)),
    ("fireworks_ai", r".*/deepseek-v4", _take(_NONE, _LOW, _MEDIUM, _HIGH, _XHIGH)),
    # https://www.alibabacloud.com/help/en/model-studio/deep-thinking
    ("dashscope", r"(qwq|.*thinking)", _budget(1, can_rest=False)),
    ("dashscope", r"", _budget(1)),
    # https://docs.z.ai/guides/capabilities/thinking-mode
    ("zai", r"glm-5\.3", _LOW_HIGH_MAX),
    ("zai", r"glm-5\.2", Amounts(efforts=frozenset(ReasoningEffort))),
    ("zai", r"glm-", _SWITCH),
    # https://platform.moonshot.ai/docs/guide/use-kimi-k2-thinking-model
    ("moonshot", r"moonshot-v1", NEVER),
    ("moonshot", r"kimi-k2\.[56]", _SWITCH),
    ("moonshot", r"kimi-(k2\.7|k2-thinking|thinking)", NOTHING),
    # The reference of `reasoning_effort` in https://docs.perplexity.ai
    ("perplexity", r"sonar-(deep-research|reasoning)", _take(_MINIMAL, _LOW, _MEDIUM, _HIGH)),
)
"""litellm's prefixes, empty for all of them; the beginning of the name; and what these models take."""
_COMPILED: Final = tuple(
    (frozenset(prefixes.split()), re.compile(pattern, re.IGNORECASE), amounts) for prefixes, pattern, amounts in _ROWS
)


def find_row(prefix: str, name: str) -> Amounts | None:
    """Returns what a model takes by the table; None without a row for it."""
    for prefixes, pattern, amounts in _COMPILED:
        if (not prefixes or prefix in prefixes) and pattern.match(name):
            return amounts
    return None
