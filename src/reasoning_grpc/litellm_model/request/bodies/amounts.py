"""Writes the amount of reasoning for providers of the OpenAI protocol that have words of their own for it.

litellm refuses some of these words, and replaces others in silence. So it gets no amount for these providers, and
what is written here is put into the body that it has built.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reasoning_grpc.domain import Deployment, ReasoningEffort, ReasoningOptions, Wire
from reasoning_grpc.litellm_model.request.dialects.amounts import Amounts, find_amounts
from reasoning_grpc.litellm_model.request.hosts import find_provider

Json = dict[str, Any]
_Write = Callable[[ReasoningOptions, Amounts], Json]


def has_own_words(deployment: Deployment) -> bool:
    """Whether the amount of reasoning for the provider of a deployment is written here."""
    return find_provider(deployment) in _OF_PROVIDER


def write_amount(reasoning: ReasoningOptions, deployment: Deployment) -> Json:
    """Returns the members of the body that request an amount of reasoning; empty where litellm writes them."""
    write = _OF_PROVIDER.get(find_provider(deployment))
    if write is None or reasoning == ReasoningOptions():
        return {}
    return write(reasoning, find_amounts(deployment, Wire.CHAT))


def _write_effort(reasoning: ReasoningOptions, _amounts: Amounts) -> Json:
    return {} if reasoning.effort is None else {"reasoning_effort": reasoning.effort.value.lower()}


def _write_for_openrouter(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    if reasoning.budget_tokens is not None:
        return {"reasoning": {"max_tokens": reasoning.budget_tokens}}
    return _write_effort(reasoning, amounts)


def _write_for_dashscope(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    switch = {"enable_thinking": reasoning.effort is not ReasoningEffort.NONE} if amounts.can_rest else {}
    budget = {} if reasoning.budget_tokens is None else {"thinking_budget": reasoning.budget_tokens}
    return switch | budget


def _write_for_together(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    if amounts.is_switch or reasoning.effort is ReasoningEffort.NONE:
        return {"reasoning": {"enabled": reasoning.effort is not ReasoningEffort.NONE}}
    return _write_effort(reasoning, amounts)


def _write_for_groq(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    is_on = amounts.is_switch and reasoning.effort is not ReasoningEffort.NONE
    return {"reasoning_effort": "default"} if is_on else _write_effort(reasoning, amounts)


def _write_for_cerebras(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    """Says nothing where a model that only switches shall reason: it does so without a word."""
    is_on = amounts.is_switch and reasoning.effort is not ReasoningEffort.NONE
    return {} if is_on else _write_effort(reasoning, amounts)


def _write_thinking(reasoning: ReasoningOptions, amounts: Amounts) -> Json:
    """Writes the switch where the model has one, and the effort beside it where the model has levels."""
    if reasoning.effort is ReasoningEffort.NONE:
        return {"thinking": {"type": "disabled"}}
    switch = {"thinking": {"type": "enabled"}} if amounts.is_known and amounts.can_rest else {}
    return switch if amounts.is_switch else switch | _write_effort(reasoning, amounts)


_OF_PROVIDER: Final[Mapping[str, _Write]] = {
    "cerebras": _write_for_cerebras,
    "dashscope": _write_for_dashscope,
    "deepseek": _write_thinking,
    "groq": _write_for_groq,
    "mistral": _write_effort,
    "moonshot": _write_thinking,
    "openrouter": _write_for_openrouter,
    "together_ai": _write_for_together,
    "zai": _write_thinking,
}
