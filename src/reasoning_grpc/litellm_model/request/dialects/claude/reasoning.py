"""Sampling and tools beside the reasoning of Anthropic's models: the combinations that the provider refuses.

Sources: Anthropic's documentation of extended thinking ("not compatible with temperature or top_k modifications as
well as forced tool use", "top_p between 1 and 0.95"), and litellm's tables. `amounts` has the amount of reasoning.
"""

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import EffectiveSetting, ReasoningEffort, ToolChoiceMode
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.claude.models import ANSWER_TOKENS, ClaudeModel, describe_claude
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN
from reasoning_grpc.llm import ModelCall

_MIN_TOP_P: Final = 0.95


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


def leave_room_for_answer(call: ModelCall, model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Sets the model's own limit of output tokens beside a budget of reasoning, which the limit includes.

    Without a limit in the call, litellm would allow few tokens more than the budget.
    """
    budget = call.reasoning.budget_tokens
    if budget is None or call.sampling.max_output_tokens is not None:
        return call, None
    facts = describe_claude(model)
    if facts.max_output_tokens <= budget + ANSWER_TOKENS:
        return call, None
    return replace(call, sampling=replace(call.sampling, max_output_tokens=facts.max_output_tokens)), None


def is_forcing_calls(call: ModelCall) -> bool:
    """Whether a call requires that the model calls a tool."""
    choice = call.tool_choice
    return choice is not None and choice.mode not in {ToolChoiceMode.AUTO, ToolChoiceMode.NONE}


def is_reasoning(call: ModelCall) -> bool:
    """Whether a call requests that the model reasons."""
    return bool(call.reasoning.budget_tokens) or call.reasoning.effort not in {None, ReasoningEffort.NONE}


def _explain_fixed(facts: ClaudeModel, rule: str) -> str:
    return f"{rule} while it reasons." if facts.takes_sampling else f"{rule}."
