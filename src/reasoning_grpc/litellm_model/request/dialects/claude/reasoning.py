"""Reasoning and sampling of Anthropic's models: the combinations that the provider refuses.

Sources: Anthropic's documentation of extended thinking ("not compatible with temperature or top_k modifications as
well as forced tool use", "top_p between 1 and 0.95", "the minimum budget is 1,024 tokens", "budget_tokens must be
less than max_tokens"), and litellm's tables.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reasoning_grpc.domain import (
    EffectiveSetting,
    EffectiveSettingCause,
    ReasoningEffort,
    ReasoningOptions,
    ToolChoiceMode,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude.models import ClaudeModel, describe_claude
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.llm import ModelCall

MIN_BUDGET_TOKENS: Final = 1024
BUDGET_OF_EFFORT: Final = {
    ReasoningEffort.MINIMAL: 1024,
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 2048,
    ReasoningEffort.HIGH: 4096,
}
"""The budget to which litellm converts an effort for a model that takes only budgets."""
_ANSWER_TOKENS: Final = 4096
"""The tokens that litellm adds to the budget for the answer when a call has no limit."""
_MIN_TOP_P: Final = 0.95


def refuse_reasoning(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses an amount of reasoning that the model cannot hold to."""
    budget, effort, limit = call.reasoning.budget_tokens, call.reasoning.effort, call.sampling.max_output_tokens
    if budget is None and effort is None:
        return
    facts = describe_claude(model)
    if not facts.reasons:
        if budget is not None:
            yield FieldViolation("reasoning.budget_tokens", NOT_TAKEN)
        elif effort is not ReasoningEffort.NONE:
            yield FieldViolation("reasoning.effort", NOT_TAKEN)
    elif budget is not None:
        if not facts.takes_budgets:
            yield FieldViolation("reasoning.budget_tokens", "The model takes no budget, but an effort.")
        elif budget < MIN_BUDGET_TOKENS:
            yield FieldViolation("reasoning.budget_tokens", f"The model takes {MIN_BUDGET_TOKENS} or more.")
        elif limit is not None and budget >= limit:
            yield FieldViolation("reasoning.budget_tokens", "It must be smaller than the limit of output tokens.")
    elif effort is ReasoningEffort.NONE:
        if facts.always_thinks:
            yield FieldViolation("reasoning.effort", "The model always reasons.")
    elif not facts.thinks_adaptively and limit is not None and limit <= MIN_BUDGET_TOKENS:
        description = f"The model reasons only with a limit of more than {MIN_BUDGET_TOKENS} output tokens."
        yield FieldViolation("reasoning.effort", description)


def refuse_sampling(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses sampling parameters that the model takes never, not together, or not while it reasons."""
    sampling = call.sampling
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    for index, sequence in enumerate(sampling.stop_sequences):
        if not sequence.strip():
            yield FieldViolation(f"sampling.stop_sequences[{index}]", "The model takes none that is blank.")
    if temperature is None and top_p is None and top_k is None:
        return
    facts = describe_claude(model)
    is_fixed = not facts.takes_sampling or is_reasoning(call)
    if temperature is not None and temperature != 1:
        if is_fixed:
            yield FieldViolation("sampling.temperature", _explain_fixed(facts, "The model takes no other than 1"))
        elif temperature > 1:
            yield FieldViolation("sampling.temperature", "The model takes 0 to 1.")
    if top_k is not None and is_fixed:
        yield FieldViolation("sampling.top_k", _explain_fixed(facts, "The model does not take it"))
    if top_p is not None:
        if not facts.takes_sampling:
            yield FieldViolation("sampling.top_p", NOT_TAKEN)
        elif is_fixed and top_p < _MIN_TOP_P:
            yield FieldViolation("sampling.top_p", f"The model takes {_MIN_TOP_P} to 1 while it reasons.")
        elif temperature is not None and not facts.takes_temperature_with_top_p:
            yield FieldViolation("sampling.top_p", "The model takes it only without a temperature.")


def refuse_forced_tools(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses to force a tool call where the model must be free to choose."""
    if not is_forcing_calls(call):
        return
    if not describe_claude(model).takes_forced_tools:
        yield FieldViolation("tool_choice", "The model takes only AUTO and NONE.")
    elif is_reasoning(call):
        yield FieldViolation("tool_choice", "The model takes only AUTO and NONE while it reasons.")


def raise_minimal_effort(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Requests the lowest effort that the provider knows in place of a lower one."""
    if call.reasoning.effort is not ReasoningEffort.MINIMAL:
        return call, None
    setting = EffectiveSetting(
        "reasoning.effort",
        ReasoningEffort.MINIMAL,
        ReasoningEffort.LOW,
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider has no lower effort.",
    )
    return replace(call, reasoning=ReasoningOptions(effort=ReasoningEffort.LOW)), setting


def fit_reasoning(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Keeps the budget of an effort below the limit of output tokens, which includes the reasoning.

    Without a limit in the call, it sets the model's own: litellm would allow few tokens more than the budget.
    """
    effort = call.reasoning.effort
    budget = call.reasoning.budget_tokens or (BUDGET_OF_EFFORT.get(effort, 0) if effort else 0)
    if not budget:
        return call, None
    facts, limit = describe_claude(model), call.sampling.max_output_tokens
    if effort is not None and facts.thinks_adaptively:
        return call, None
    if limit is None:
        if facts.max_output_tokens <= budget + _ANSWER_TOKENS:
            return call, None
        return replace(call, sampling=replace(call.sampling, max_output_tokens=facts.max_output_tokens)), None
    if effort is None or budget < limit:
        return call, None
    fitted = max(MIN_BUDGET_TOKENS, limit // 2)
    setting = EffectiveSetting(
        "reasoning.effort",
        effort,
        f"{fitted} tokens",
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The reasoning and the answer share sampling.max_output_tokens, which is too low for this effort.",
    )
    return replace(call, reasoning=ReasoningOptions(budget_tokens=fitted)), setting


def is_forcing_calls(call: ModelCall) -> bool:
    """Whether a call requires that the model calls a tool."""
    choice = call.tool_choice
    return choice is not None and choice.mode not in {ToolChoiceMode.AUTO, ToolChoiceMode.NONE}


def is_reasoning(call: ModelCall) -> bool:
    """Whether a call requests that the model reasons."""
    return bool(call.reasoning.budget_tokens) or call.reasoning.effort not in {None, ReasoningEffort.NONE}


def _explain_fixed(facts: ClaudeModel, rule: str) -> str:
    return f"{rule} while it reasons." if facts.takes_sampling else f"{rule}."
