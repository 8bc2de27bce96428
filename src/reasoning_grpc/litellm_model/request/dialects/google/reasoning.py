"""The amount of reasoning that Gemini's models take: levels, or budgets of tokens, in the ranges of each model.

Sources: Google's documentation of thinking, "Thinking levels" and "Thinking budgets"; litellm translates an effort to
the budget or the level.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, ReasoningEffort, ReasoningOptions
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.litellm_model.request.dialects.google.models import is_gemini_3, read_name
from reasoning_grpc.llm import ModelCall

_NONE, _MINIMAL, _LOW = ReasoningEffort.NONE, ReasoningEffort.MINIMAL, ReasoningEffort.LOW
_MEDIUM, _HIGH = ReasoningEffort.MEDIUM, ReasoningEffort.HIGH
_ALWAYS: Final = "The model always reasons, and this is the least that it does."
_NO_SUCH_LEVEL: Final = "The model has no such level; this is the next one."
_FLASH_WITHOUT_MINIMAL: Final = re.compile(r"gemini-3\.[7-9]-flash")
_GEMINI_3_PRO: Final = re.compile(r"gemini-3-pro")
_GEMINI_2_5_PRO: Final = re.compile(r"gemini-2\.5-pro")
_BUDGETS: Final = (
    (_GEMINI_2_5_PRO, 128, 32768),
    (re.compile(r"gemini-2\.5-flash-lite"), 512, 24576),
    (re.compile(r"gemini-2\.5-flash"), 1, 24576),
)
"""Models by name, with the smallest and the largest budget of each."""


def refuse_budgets(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses a budget where the model has levels instead."""
    if call.reasoning.budget_tokens and is_gemini_3(model):
        yield FieldViolation("reasoning.budget_tokens", NOT_TAKEN)


def adapt_effort(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Replaces an effort that the model does not have by the next one that it has."""
    effort = call.reasoning.effort
    if effort is None:
        return call, None
    effective = _find_effective(effort, read_name(model))
    if effective is effort:
        return call, None
    reason = _ALWAYS if effort is _NONE else _NO_SUCH_LEVEL
    setting = EffectiveSetting(
        "reasoning.effort", effort.value, effective.value, EffectiveSettingCause.PROVIDER_LIMIT, reason
    )
    if effort is _NONE and is_gemini_3(model):
        return call, setting  # litellm sends this level for NONE, and does not ask for thoughts
    return replace(call, reasoning=ReasoningOptions(effective)), setting


def limit_budget(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Moves a budget into the range of the model."""
    budget, name = call.reasoning.budget_tokens, read_name(model)
    if budget is None:
        return call, None
    for pattern, least, most in _BUDGETS:
        if pattern.match(name):
            effective = min(max(budget, least), most)
            break
    else:
        effective = budget
    if effective == budget:
        return call, None
    setting = EffectiveSetting(
        "reasoning.budget_tokens",
        str(budget),
        str(effective),
        EffectiveSettingCause.PROVIDER_LIMIT,
        f"The model takes {least} to {most} tokens.",
    )
    return replace(call, reasoning=replace(call.reasoning, budget_tokens=effective)), setting


def _find_effective(effort: ReasoningEffort, name: str) -> ReasoningEffort:
    if not is_gemini_3(name):
        return _MINIMAL if effort is _NONE and _GEMINI_2_5_PRO.match(name) else effort
    if effort in {_NONE, _MINIMAL}:
        return _MINIMAL if "flash" in name and not _FLASH_WITHOUT_MINIMAL.match(name) else _LOW
    return _HIGH if effort is _MEDIUM and _GEMINI_3_PRO.match(name) else effort
