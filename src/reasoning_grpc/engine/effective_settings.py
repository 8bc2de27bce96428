"""Settings that take effect otherwise than requested, at the start and after a switch to a fallback model.

The limits of the agent are reported by the agent itself.
"""

from typing import Final

from msgspec.structs import replace

from reasoning_grpc.domain import (
    CompletionRequest,
    EffectiveSetting,
    EffectiveSettingCause,
    ModelCallPurpose,
    RouteDecision,
)
from reasoning_grpc.domain.events import AttemptSwitched
from reasoning_grpc.llm import ModelCall

_ANSWERS: Final = frozenset({ModelCallPurpose.ANSWER, ModelCallPurpose.SYNTHESIS})
"""The model calls that the request's own settings are for."""
_PLANS: Final = frozenset({ModelCallPurpose.STEP, ModelCallPurpose.REPAIR})


def find_initial_settings(
    request: CompletionRequest, decision: RouteDecision, fallbacks: tuple[str, ...], call: ModelCall
) -> list[EffectiveSetting]:
    """Returns the settings that routing, the choice of fallback models and the context window change.

    `fallbacks` are the models that the request or the entry of its model names; `call` is the call that answers.
    """
    settings = []
    if request.model and request.model != decision.model:
        settings.append(
            EffectiveSetting("model", request.model, decision.model, EffectiveSettingCause.ROUTING, decision.reason)
        )
    if fallbacks != call.fallback_models:
        settings.append(
            EffectiveSetting(
                "fallback_models",
                ", ".join(fallbacks),
                ", ".join(call.fallback_models),
                EffectiveSettingCause.FALLBACK_UNSUITABLE,
                "A fallback model that cannot serve the request is left out.",
            )
        )
    if call.omitted_messages:
        kept = len(call.messages)
        settings.append(
            EffectiveSetting(
                "messages",
                str(kept + call.omitted_messages),
                str(kept),
                EffectiveSettingCause.CONTEXT_WINDOW,
                "The oldest messages are left out, to fit the context window.",
            )
        )
    return settings


def add_changed_settings(
    switched: AttemptSwitched, request: CompletionRequest, purpose: ModelCallPurpose | None
) -> AttemptSwitched:
    """Returns the switch with the settings of the request that it changes.

    `purpose` is that of the model call in progress. The agent's calls for plans have settings of their own, but the
    amount of reasoning is the request's.
    """
    settings: tuple[EffectiveSetting, ...] = ()
    if purpose in _ANSWERS:
        settings = _find_settings_after_switch(request, switched)
    elif purpose in _PLANS:
        settings = tuple(each for each in switched.effective_settings if each.field.startswith("reasoning."))
    return replace(switched, effective_settings=settings)


def _find_settings_after_switch(request: CompletionRequest, switched: AttemptSwitched) -> tuple[EffectiveSetting, ...]:
    if not request.model or switched.to_model == switched.from_model:
        return switched.effective_settings
    reason = "The model failed, and this fallback model takes its place."
    model = EffectiveSetting("model", request.model, switched.to_model, EffectiveSettingCause.FALLBACK, reason)
    return (model, *switched.effective_settings)
