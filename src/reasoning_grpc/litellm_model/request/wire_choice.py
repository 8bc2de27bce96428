"""`choose_wire`: decides through which of OpenAI's APIs a call goes, before it is sent.

The facts about a model come from litellm's price map. The facts about a call are its tools, its reasoning, and what
the Responses API does not take.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from reasoning_grpc.domain import Capability, Deployment, Media, Reasoning, ReasoningEffort, ReasoningOptions, Wire
from reasoning_grpc.litellm_model.prices.model_facts import ModelFacts
from reasoning_grpc.litellm_model.prices.price_map import find_price_map
from reasoning_grpc.litellm_model.request.dialects.amounts import find_amounts, fit_amount
from reasoning_grpc.llm import ModelCall

HAS_RESPONSES: Final = frozenset({"azure", "openai", "litellm_proxy"})
"""Providers whose Responses API we call."""
_CHOOSES: Final = frozenset({"azure", "openai"})
"""Providers whose models decide; with the others, the configuration does."""
_VERSION: Final = re.compile(r"gpt-(\d+)(?:\.(\d+))?")
_REFUSES_TOOLS_FROM: Final = (5, 4)
"""The first version of GPT whose Chat Completions refuses function tools while the model reasons."""


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
    facts = find_facts(deployment)
    if call.tools and _reasons(call, facts) and refuses_tools(deployment.deciding_model):
        return WireChoice(Wire.RESPONSES, "Chat Completions refuses function tools while this model reasons")
    if _has_greatest_effort(call, deployment):
        return WireChoice(Wire.RESPONSES, "only the Responses API takes the effort MAX of this model")
    if _has_signed_reasoning(call):
        return WireChoice(Wire.RESPONSES, "the conversation holds reasoning that only the Responses API takes back")
    if call.include_reasoning and not _needs_chat(call):
        return WireChoice(Wire.RESPONSES, "only the Responses API returns the reasoning of this model")
    return WireChoice(Wire.CHAT, "the call needs nothing that only the Responses API has")


def find_wire_problem(deployment: Deployment) -> str:
    """Returns why calls of a deployment cannot go through the API that its entry names; empty when they can."""
    if deployment.wire is Wire.RESPONSES and deployment.provider not in HAS_RESPONSES:
        return f"the Responses API is called only with {', '.join(sorted(HAS_RESPONSES))}"
    return ""


def choose_wire_of_model(deployment: Deployment) -> WireChoice | None:
    """Returns the API of all calls of a deployment; None where each call decides."""
    if deployment.wire is not None:
        return WireChoice(deployment.wire, "the entry says so")
    if deployment.provider not in _CHOOSES:
        return WireChoice(Wire.CHAT, "the entry does not say otherwise")
    facts = find_facts(deployment)
    if facts.wires == {Wire.RESPONSES}:
        return WireChoice(Wire.RESPONSES, "the model has no other API")
    if Wire.RESPONSES not in facts.wires or Capability.REASONING not in facts.capabilities:
        return WireChoice(Wire.CHAT, "the model does not reason, or is not known to have the Responses API")
    return None


def explain_wire(deployment: Deployment) -> WireChoice | str | None:
    """Returns the API of all calls of a deployment; where each call decides, a sentence that says by what.

    None where the provider has only one API.
    """
    if deployment.provider not in HAS_RESPONSES:
        return None
    fixed = choose_wire_of_model(deployment)
    if fixed is not None:
        return fixed
    tools = "function tools while the model reasons, and " if refuses_tools(deployment.deciding_model) else ""
    greatest = "the effort MAX, and " if _takes_greatest_effort(deployment) else ""
    return f"the Responses API for {tools}{greatest}reasoning that is included or comes back; else Chat Completions"


def find_facts(deployment: Deployment) -> ModelFacts:
    """Returns what litellm's price map says about the model that decides."""
    return _find_facts(deployment.deciding_model)


def refuses_tools(model: str) -> bool:
    """Whether Chat Completions refuses function tools while a model of this name reasons."""
    found = _VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= _REFUSES_TOOLS_FROM


@lru_cache(maxsize=1024)
def _find_facts(model: str) -> ModelFacts:
    return find_price_map().find_facts(model) or ModelFacts()


def _reasons(call: ModelCall, facts: ModelFacts) -> bool:
    effort = call.reasoning.effort
    if effort is None and call.reasoning.budget_tokens is None:
        return facts.default_effort != "none"
    return effort is not ReasoningEffort.NONE


def _has_greatest_effort(call: ModelCall, deployment: Deployment) -> bool:
    """Whether a call requests the effort MAX of a model that takes it, and nothing that only Chat Completions takes."""
    if call.reasoning == ReasoningOptions() or not _takes_greatest_effort(deployment) or _needs_chat(call):
        return False
    fitted, _ = fit_amount(call, find_amounts(deployment, Wire.RESPONSES))
    return fitted.reasoning.effort is ReasoningEffort.MAX


def _takes_greatest_effort(deployment: Deployment) -> bool:
    return ReasoningEffort.MAX in find_amounts(deployment, Wire.RESPONSES).levels


def _has_signed_reasoning(call: ModelCall) -> bool:
    parts = (part for message in call.messages for part in message.content)
    return any(isinstance(part.content, Reasoning) and part.signature for part in parts)


def _needs_chat(call: ModelCall) -> bool:
    """Whether a call holds what only Chat Completions takes."""
    sampling = call.sampling
    parameters = (
        sampling.seed is not None,
        sampling.top_k is not None,
        sampling.presence_penalty is not None,
        sampling.frequency_penalty is not None,
        bool(sampling.stop_sequences),
        bool(sampling.logit_bias),
    )
    media = (part.content for message in call.messages for part in message.content if isinstance(part.content, Media))
    return any(parameters) or any(each.mime_type.startswith("audio/") for each in media)
