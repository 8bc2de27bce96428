"""Features in beta that a call to Anthropic's own API uses, by their names in the header `anthropic-beta`.

Sources: Anthropic's documentation of extended thinking ("interleaved thinking") and of preserved thinking.
"""

from typing import Final

from reasoning_grpc.domain import Reasoning, ReasoningOptions
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import is_reasoning
from reasoning_grpc.llm import ModelCall

BINDING_CONTROLS: Final = "thinking-binding-controls-2026-08-01"
SUMMARIZED: Final = {"type": "adaptive", "display": "summarized"}
"""The member `thinking` that asks for summaries and changes nothing else of a model that reasons unasked."""
_INTERLEAVED_THINKING: Final = "interleaved-thinking-2025-05-14"


def list_beta_features(call: ModelCall, model: str) -> list[str]:
    """Returns the features in beta that a call uses.

    With a budget, a model reasons between tool calls only by a feature, which the provider ignores for models that
    never do. A model that decides itself how much it reasons does so without it.
    """
    features = [BINDING_CONTROLS] if returns_bound_reasoning(call, model) else []
    has_budget = call.reasoning.budget_tokens is not None or not describe_claude(model).thinks_adaptively
    if call.tools and is_reasoning(call) and has_budget:
        features.append(_INTERLEAVED_THINKING)
    return features


def returns_bound_reasoning(call: ModelCall, model: str) -> bool:
    """Whether a call sends back reasoning that is valid only behind the conversation for which the model made it."""
    return describe_claude(model).binds_reasoning and any(
        isinstance(part.content, Reasoning) for message in call.messages for part in message.content
    )


def asks_for_summary(call: ModelCall, model: str) -> bool:
    """Whether a call must ask for a summary of reasoning that the model does anyway, and would keep to itself.

    A call with an effort or a budget asks for it in any case.
    """
    is_unasked = call.include_reasoning and call.reasoning == ReasoningOptions()
    return is_unasked and describe_claude(model).thinks_unasked
