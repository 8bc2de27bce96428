"""Finds which amounts of reasoning a model takes, by litellm's name of it."""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final

from reasoning_grpc.domain import Deployment, ReasoningEffort, Wire
from reasoning_grpc.litellm_model.prices.price_map import find_price_map
from reasoning_grpc.litellm_model.request.dialects.amounts.amount import Amounts, TokenRange
from reasoning_grpc.litellm_model.request.dialects.amounts.table import NEVER, find_row
from reasoning_grpc.litellm_model.request.dialects.claude.models import ClaudeModel, describe_claude
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model

_MIN_BUDGET_OF_CLAUDE: Final = 1024
_HAVE_RESPONSES: Final = frozenset({"azure", "openai"})
"""Providers with both of OpenAI's APIs."""
_HOSTS_OF_CLAUDE: Final = frozenset({"bedrock", "databricks"})
_BEFORE_NAMES: Final = re.compile(r"bedrock/(?:converse/|invoke/)|azure/(?:.*/)|openai/ft:")
"""Parts of litellm's names of models that stand before the name of the model itself."""


def find_amounts(deployment: Deployment, wire: Wire) -> Amounts:
    """Returns which amounts the model of a deployment takes through an API.

    A LiteLLM proxy takes those of the model that is known behind it. MAX is an effort of the Responses API alone:
    OpenAI's Chat Completions refuses it. The Responses API takes no number of tokens.
    """
    is_proxied = deployment.provider == "litellm_proxy" and deployment.base_model
    amounts = describe_amounts(deployment.base_model if is_proxied else name_deciding_model(deployment))
    if wire is Wire.RESPONSES:
        return replace(amounts, budget=None)
    if deployment.provider in _HAVE_RESPONSES and amounts.efforts is not None:
        return replace(amounts, efforts=amounts.efforts - {ReasoningEffort.MAX})
    return amounts


@lru_cache(maxsize=4096)
def describe_amounts(model: str) -> Amounts:
    """Returns what a model takes: by the facts about Claude, else by our table, else by litellm's price map.

    Nothing is known of a model that none of them has, such as one of a server of one's own.
    """
    prefix, _, name = model.partition("/")
    if prefix == "anthropic" or (prefix in _HOSTS_OF_CLAUDE and "claude" in name):
        return _describe_claude(describe_claude(model))
    if (amounts := find_row(prefix, _find_own_name(model))) is not None:
        return amounts
    listed = model if prefix != "bedrock" else f"bedrock/{_find_own_name(model)}"
    facts = find_price_map().find_facts(listed)
    if facts is None:
        return Amounts()
    return NEVER if facts.efforts == NEVER.efforts else Amounts(efforts=facts.efforts)


def _find_own_name(model: str) -> str:
    """Returns the name of a model without what stands before it."""
    found = _BEFORE_NAMES.match(model)
    return model[found.end() :] if found else model.partition("/")[2]


def _describe_claude(facts: ClaudeModel) -> Amounts:
    """Returns what a model of Anthropic's takes.

    The provider's documentation: "the minimum budget is 1,024 tokens", "budget_tokens must be less than max_tokens".
    """
    if not facts.reasons:
        return NEVER
    efforts = {ReasoningEffort.NONE} if not facts.always_thinks else set()
    budget = TokenRange(_MIN_BUDGET_OF_CLAUDE, within_limit=True) if facts.takes_budgets else None
    return Amounts(
        efforts=frozenset(efforts | facts.efforts),
        budget=budget,
        reasons_on_request=not facts.thinks_adaptively,
    )
