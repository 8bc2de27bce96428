"""`choose_wire`: decides through which of OpenAI's APIs a call goes, before it is sent.

The facts about a model are in `openai_models`. The facts about a call are its tools, its reasoning, and what
the Responses API does not take.
"""

from dataclasses import dataclass
from typing import Final

from reasoning_grpc.domain import Deployment, Reasoning, ReasoningEffort, ReasoningOptions, Wire
from reasoning_grpc.litellm_model.request.dialects import is_item_signature, needs_chat
from reasoning_grpc.litellm_model.request.dialects.amounts import find_amounts, fit_amount
from reasoning_grpc.litellm_model.request.kept_facts import keep_by_deployment
from reasoning_grpc.litellm_model.request.openai_models import OpenAIModel, describe_model
from reasoning_grpc.litellm_model.request.openai_options import OF_RESPONSES_ALONE
from reasoning_grpc.llm import ModelCall

_HAS_RESPONSES: Final = frozenset({"azure", "hosted_vllm", "litellm_proxy", "openai"})
"""Providers whose Responses API we call."""
_CHOOSES: Final = frozenset({"azure", "openai"})
"""Providers whose models decide; with the others, the configuration does."""
_BRIDGE: Final = "responses/"
"""litellm's mark, in a model's name, of a model whose calls it bridges to the Responses API."""


@dataclass(frozen=True, slots=True)
class WireChoice:
    """The API of a call, and why."""

    wire: Wire
    reason: str
    """A sentence for operators."""


def choose_wire(call: ModelCall, deployment: Deployment) -> WireChoice:
    """Returns the API through which a call of a deployment goes."""
    fixed = choose_wire_of_model(deployment)
    if fixed is not None:
        return fixed
    model = describe_model(deployment)
    if call.tools and model.refuses_tools and _reasons(call, model):
        return WireChoice(Wire.RESPONSES, "Chat Completions refuses function tools while this model reasons")
    if _has_greatest_effort(call, deployment):
        return WireChoice(Wire.RESPONSES, "only the Responses API takes the effort MAX of this model")
    if _has_signed_reasoning(call):
        return WireChoice(Wire.RESPONSES, "the conversation holds reasoning that only the Responses API takes back")
    if call.provider_options.keys() & OF_RESPONSES_ALONE:
        return WireChoice(Wire.RESPONSES, "only the Responses API has an option of the call")
    is_included = call.include_reasoning and call.reasoning.effort is not ReasoningEffort.NONE
    if is_included and not needs_chat(call):
        return WireChoice(Wire.RESPONSES, "only the Responses API returns the reasoning of this model")
    return WireChoice(Wire.CHAT, "the call needs nothing that only the Responses API has")


@keep_by_deployment
def choose_wire_of_model(deployment: Deployment) -> WireChoice | None:
    """Returns the API of all calls of a deployment; None where each call decides."""
    if deployment.wire is not None:
        return WireChoice(deployment.wire, _explain_entry(deployment.wire, describe_model(deployment)))
    if deployment.provider not in _CHOOSES:
        return WireChoice(Wire.CHAT, "the entry does not say otherwise")
    model = describe_model(deployment)
    if model.wires == {Wire.RESPONSES}:
        return WireChoice(Wire.RESPONSES, "the model has no other API")
    if not model.reasons:
        known = "does not reason" if model.reasons is False else "is not known; base_model can say which one it is"
        return WireChoice(Wire.CHAT, f"the model {known}")
    if Wire.RESPONSES not in model.wires:
        return WireChoice(Wire.CHAT, "the model is not known to have the Responses API")
    return None


def explain_wire(deployment: Deployment) -> WireChoice | str | None:
    """Returns the API of all calls of a deployment; where each call decides, a sentence that says by what.

    None where the provider has only one API.
    """
    if deployment.provider not in _HAS_RESPONSES:
        return None
    fixed = choose_wire_of_model(deployment)
    if fixed is not None:
        return fixed
    tools = "function tools while the model reasons, for " if describe_model(deployment).refuses_tools else ""
    greatest = "the effort MAX, for " if _takes_greatest_effort(deployment) else ""
    return f"the Responses API for {tools}{greatest}reasoning that is included or comes back; else Chat Completions"


def find_wire_problem(deployment: Deployment) -> str:
    """Returns why calls of a deployment cannot go through the API that its entry names; empty when they can."""
    if deployment.wire is Wire.RESPONSES and deployment.provider not in _HAS_RESPONSES:
        return f"the Responses API is called only with {', '.join(sorted(_HAS_RESPONSES))}"
    return ""


def find_name_problem(deployment: Deployment) -> str:
    """Returns why the name of a deployment's model cannot be called; empty when it can.

    Chat Completions would get litellm's mark as a part of the name.
    """
    _, _, name = deployment.litellm_model.partition("/")
    if deployment.provider in _CHOOSES and name.startswith(_BRIDGE):
        return f'leave out "{_BRIDGE}", and set wire = "responses"'
    return ""


def can_store(deployment: Deployment) -> bool:
    """Whether a call of the deployment may go through the Responses API, whose answers the provider can keep."""
    fixed = choose_wire_of_model(deployment)
    return fixed is None or fixed.wire is Wire.RESPONSES


def _explain_entry(wire: Wire, model: OpenAIModel) -> str:
    if model.wires and wire not in model.wires:
        return "the entry says so, although litellm lists only the other API for this model"
    return "the entry says so"


def _reasons(call: ModelCall, model: OpenAIModel) -> bool:
    effort = call.reasoning.effort
    if effort is None and call.reasoning.budget_tokens is None:
        return model.default_effort != "none"
    return effort is not ReasoningEffort.NONE


def _has_greatest_effort(call: ModelCall, deployment: Deployment) -> bool:
    """Whether a call requests the effort MAX of a model that takes it, and nothing that only Chat Completions takes."""
    if call.reasoning == ReasoningOptions() or not _takes_greatest_effort(deployment) or needs_chat(call):
        return False
    fitted, _ = fit_amount(call, find_amounts(deployment, Wire.RESPONSES))
    return fitted.reasoning.effort is ReasoningEffort.MAX


def _takes_greatest_effort(deployment: Deployment) -> bool:
    return ReasoningEffort.MAX in find_amounts(deployment, Wire.RESPONSES).levels


def _has_signed_reasoning(call: ModelCall) -> bool:
    parts = (part for message in call.messages for part in message.content)
    return any(isinstance(part.content, Reasoning) and is_item_signature(part.signature) for part in parts)
