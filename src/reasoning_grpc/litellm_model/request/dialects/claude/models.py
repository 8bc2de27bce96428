"""The facts about a model of Anthropic's that decide what a call may hold, from litellm's tables.

litellm converts a call by these facts, so that what is refused or changed here fits what it would do.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from reasoning_grpc.domain import ReasoningEffort
from reasoning_grpc.litellm_model import library

_EFFORTS: Final = frozenset(ReasoningEffort) - {ReasoningEffort.NONE, ReasoningEffort.MINIMAL}
"""The efforts that Anthropic's protocol knows; a model may not take all of them."""
_TAKES_TEMPERATURE_WITH_TOP_P: Final = re.compile(r"claude-(?:instant|[23]\b|(?:opus|sonnet)-4(?:-0)?(?:[-@]20|$))")
"""The older models. Later ones answer: "temperature and top_p cannot both be specified for this model"."""


ANSWER_TOKENS: Final = 4096
"""The tokens that litellm adds to a budget of reasoning for the answer when a call has no limit."""
_THINKS_UNASKED: Final = re.compile(r"claude-[a-z]+-(?:[5-9]|\d\d)(?!\d)")
"""The models from version 5 on. Source: Anthropic's "What's new in Claude Opus 5"."""
_BINDS_REASONING: Final = re.compile(r"claude-[a-z]+-(?:5-[1-9]|[6-9]|\d\d)(?!\d)")
"""The models from version 5.1 on. Source: Anthropic's documentation of preserved thinking."""


@dataclass(frozen=True, slots=True)
class ClaudeModel:
    """The facts about one model. What litellm does not know counts as the usual for its version."""

    reasons: bool
    """Whether it can reason before it answers."""
    thinks_adaptively: bool
    """Whether it takes an effort, and decides itself how many tokens it spends on reasoning."""
    efforts: frozenset[ReasoningEffort]
    """The efforts that it takes; empty where it takes only budgets."""
    takes_budgets: bool
    """Whether it takes a number of tokens for its reasoning."""
    always_thinks: bool
    """Whether its reasoning cannot be switched off."""
    thinks_unasked: bool
    """Whether it reasons in calls that do not mention reasoning."""
    takes_sampling: bool
    """Whether it takes another temperature than 1, `top_p` and `top_k`."""
    takes_temperature_with_top_p: bool
    takes_forced_tools: bool
    """Whether the request may force it to call a tool."""
    takes_prefill: bool
    """Whether the last message may be the beginning of its answer."""
    takes_later_system: bool
    """Whether a message of the conversation may have the role "system"."""
    writes_schemas: bool
    """Whether it can hold its answer to a JSON schema; for other models, litellm makes the schema a tool."""
    binds_reasoning: bool
    """Whether it takes back reasoning only if nothing before it has changed."""
    max_output_tokens: int
    """The limit that litellm sends when a call has none."""


@lru_cache(maxsize=4096)
def describe_claude(model: str) -> ClaudeModel:
    """Returns the facts about a model, by litellm's name of it."""
    litellm = library.import_litellm()
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig
    from litellm.utils import supports_mid_conversation_system

    config: Any = AnthropicConfig
    provider, _, name = model.partition("/")
    name = name.removeprefix("converse/").removeprefix("invoke/")
    resolved = "bedrock_converse" if provider == "bedrock" else provider

    def is_listed(flag: str) -> bool:
        return bool(config.supports_model_capability(name, flag, resolved))

    def takes_effort(effort: ReasoningEffort) -> bool:
        return config.validate_effort_for_model(name, effort.value.lower(), resolved) is None

    thinks_adaptively = is_listed("supports_adaptive_thinking")
    always_thinks = is_listed("thinking_always_on")
    return ClaudeModel(
        reasons="thinking" in _list_parameters(provider, name),
        thinks_adaptively=thinks_adaptively,
        efforts=frozenset(filter(takes_effort, _EFFORTS)) if thinks_adaptively else frozenset(),
        takes_budgets=not thinks_adaptively or is_listed("supports_legacy_thinking"),
        always_thinks=always_thinks,
        thinks_unasked=always_thinks or (thinks_adaptively and bool(_THINKS_UNASKED.search(name))),
        takes_sampling=config._supports_sampling_params(name),
        takes_temperature_with_top_p=bool(_TAKES_TEMPERATURE_WITH_TOP_P.search(name)),
        takes_forced_tools=not config.forced_tool_use_unsupported(name)
        and (provider != "bedrock" or bool(litellm.utils.supports_tool_choice(name, resolved))),
        takes_prefill=config._get_model_capability(name, "supports_assistant_prefill") is not False,
        takes_later_system=provider != "bedrock"
        and bool(supports_mid_conversation_system(model=name, custom_llm_provider=resolved)),
        writes_schemas=is_listed("supports_native_structured_output"),
        binds_reasoning=bool(_BINDS_REASONING.search(name)),
        max_output_tokens=config.get_max_tokens_for_model(name),
    )


def _list_parameters(provider: str, name: str) -> list[str]:
    """Returns the parameters that litellm takes for a model."""
    names: list[str] | None = library.import_litellm().get_supported_openai_params(name, provider)
    return names or []
