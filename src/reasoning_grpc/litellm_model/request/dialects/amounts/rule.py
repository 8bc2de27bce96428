"""The one rule for the amount of reasoning, which holds for every provider. docs/providers.md describes it.

An effort that the model does not take becomes the nearest with which it reasons, the lower of two that are equally
near. NONE never stands for another effort, and no other stands for NONE. A number of tokens becomes an effort where
the model takes only efforts, and an effort becomes a number of tokens where it takes only these. Each change is
reported; a model that takes no amount refuses it.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    TOKENS_OF_EFFORT,
    EffectiveSetting,
    EffectiveSettingCause,
    ReasoningEffort,
    ReasoningOptions,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.amounts.amount import Amounts, TokenRange
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.llm import ModelCall

EFFORT: Final = "reasoning.effort"
BUDGET: Final = "reasoning.budget_tokens"
_RANKS: Final = {effort: rank for rank, effort in enumerate(TOKENS_OF_EFFORT)}

_NEAREST: Final = "The model does not take this effort; this is the nearest that it takes."
_SWITCH: Final = "The model reasons or does not; it has no levels."
_AS_EFFORT: Final = "The model takes an effort in place of a number of tokens."
_AS_BUDGET: Final = "The model takes a number of tokens in place of an effort."
_SHARED_LIMIT: Final = (
    "The reasoning and the answer share sampling.max_output_tokens, which is too low for this effort."
)


def refuse_amount(call: ModelCall, amounts: Amounts) -> Iterator[FieldViolation]:
    """Refuses an amount that the model does not take in any form."""
    effort, budget = call.reasoning.effort, call.reasoning.budget_tokens
    if effort is None and budget is None:
        return
    field = BUDGET if effort is None else EFFORT
    if effort is ReasoningEffort.NONE:
        if not amounts.can_rest:
            yield FieldViolation(field, "The model always reasons." if amounts.can_reason else NOT_TAKEN)
    elif not amounts.can_reason:
        yield FieldViolation(field, NOT_TAKEN)
    elif amounts.budget is not None and amounts.budget.within_limit and not (effort and amounts.levels):
        yield from _refuse_limit(call, amounts.budget)


def fit_amount(call: ModelCall, amounts: Amounts) -> tuple[ModelCall, EffectiveSetting | None]:
    """Returns the call with the amount that the model takes, and the setting to report where that is another one."""
    effort, budget = call.reasoning.effort, call.reasoning.budget_tokens
    if budget is not None:
        return _fit_budget(call, budget, amounts)
    if effort is ReasoningEffort.NONE and amounts.reasons_on_request:
        return replace(call, reasoning=ReasoningOptions()), None
    if effort in {None, ReasoningEffort.NONE} or not amounts.is_known or effort in amounts.levels:
        return call, None
    return _fit_effort(call, effort, amounts)


def find_nearest(effort: ReasoningEffort, levels: frozenset[ReasoningEffort]) -> ReasoningEffort:
    """Returns the level that is nearest to an effort, the lower of two that are equally near."""
    rank = _RANKS[effort]
    return min(levels, key=lambda level: (abs(_RANKS[level] - rank), _RANKS[level]))


def choose_effort(tokens: int) -> ReasoningEffort:
    """Returns the greatest effort that stands for no more than this number of tokens, and at least MINIMAL."""
    within = [effort for effort, number in TOKENS_OF_EFFORT.items() if number <= tokens]
    return within[-1] if within else ReasoningEffort.MINIMAL


def _refuse_limit(call: ModelCall, budget: TokenRange) -> Iterator[FieldViolation]:
    """Refuses an amount for which the limit of output tokens leaves no room."""
    limit, tokens = call.sampling.max_output_tokens, call.reasoning.budget_tokens
    if limit is None:
        return
    if limit <= budget.least:
        description = f"The model reasons only with a limit of more than {budget.least} output tokens."
        yield FieldViolation(EFFORT if tokens is None else BUDGET, description)
    elif tokens is not None and budget.move_into(tokens) >= limit:
        yield FieldViolation(BUDGET, "It must be smaller than the limit of output tokens.")


def _fit_budget(call: ModelCall, tokens: int, amounts: Amounts) -> tuple[ModelCall, EffectiveSetting | None]:
    if amounts.budget is not None:
        moved = amounts.budget.move_into(tokens)
        reason = f"The model takes {_describe(amounts.budget)} tokens."
        return _change(call, ReasoningOptions(budget_tokens=moved), (BUDGET, str(tokens), str(moved)), reason)
    effort = choose_effort(tokens)
    if amounts.is_switch:
        return _change(call, ReasoningOptions(effort), (BUDGET, str(tokens), "on"), _SWITCH)
    if amounts.levels:
        effort = find_nearest(effort, amounts.levels)
    return _change(call, ReasoningOptions(effort), (BUDGET, str(tokens), effort.value), _AS_EFFORT)


def _fit_effort(
    call: ModelCall, effort: ReasoningEffort, amounts: Amounts
) -> tuple[ModelCall, EffectiveSetting | None]:
    if amounts.levels:
        nearest = find_nearest(effort, amounts.levels)
        return _change(call, ReasoningOptions(nearest), (EFFORT, effort.value, nearest.value), _NEAREST)
    if amounts.budget is None:
        return _change(call, call.reasoning, (EFFORT, effort.value, "on"), _SWITCH)
    tokens, reason = amounts.budget.move_into(TOKENS_OF_EFFORT[effort]), _AS_BUDGET
    limit = call.sampling.max_output_tokens
    if amounts.budget.within_limit and limit is not None and tokens >= limit:
        tokens, reason = amounts.budget.move_into(limit // 2), _SHARED_LIMIT
    return _change(call, ReasoningOptions(budget_tokens=tokens), (EFFORT, effort.value, f"{tokens} tokens"), reason)


def _change(
    call: ModelCall, reasoning: ReasoningOptions, values: tuple[str, str, str], reason: str
) -> tuple[ModelCall, EffectiveSetting | None]:
    """Returns the call with this amount; `values` are the field, the requested value and the effective one."""
    changed = call if reasoning == call.reasoning else replace(call, reasoning=reasoning)
    field, requested, effective = values
    if requested == effective:
        return changed, None
    return changed, EffectiveSetting(field, requested, effective, EffectiveSettingCause.PROVIDER_LIMIT, reason)


def _describe(budget: TokenRange) -> str:
    return f"{budget.least} to {budget.most}" if budget.most is not None else f"{budget.least} or more"
