"""Finds which amounts of reasoning a model takes, by litellm's name of it."""

import re
from dataclasses import replace
from functools import lru_cache
from typing import Final

from reasoning_grpc.domain import Deployment, ReasoningEffort, Wire
from reasoning_grpc.litellm_model.prices.price_map import find_price_map
from reasoning_grpc.litellm_model.request.dialects.amounts.amount import Amounts, TokenRange
from reasoning_grpc.litellm_model.request.dialects.amounts.table import NEVER, find_row
from reasoning_grpc.litellm_model.request.dialects.claude.models import ANSWER_TOKENS, ClaudeModel, describe_claude
from reasoning_grpc.litellm_model.request.hosts import find_provider
from reasoning_grpc.litellm_model.request.kept_facts import keep_by_deployment
from reasoning_grpc.litellm_model.request.model_names import name_deciding_model

_MIN_BUDGET_OF_CLAUDE: Final = 1024
_HAVE_BOTH: Final = frozenset({"azure", "openai"})
"""Providers with both of OpenAI's APIs."""
_HOSTS_OF_CLAUDE: Final = frozenset({"azure_ai", "bedrock", "databricks", "vertex_ai"})
_OWN_NAME: Final = re.compile(r"bedrock/(?:converse/|invoke/)?(.+)|azure/(?:.*/)?(.+)|openai/ft:([^:]+).*")
"""litellm's names of models that have something before the name of the model itself, or behind it."""
_DATE: Final = re.compile(r"-\d{4}-\d{2}-\d{2}$")
"""The date of a version, which the price map may not list yet."""


@keep_by_deployment
def find_amounts(deployment: Deployment, wire: Wire) -> Amounts:
    """Returns which amounts the model of a deployment takes through an API.

    MAX is an effort of the Responses API alone: OpenAI's Chat Completions refuses it. The Responses API takes no number
    of tokens.
    """
    return _select_amounts(_name_model(deployment), wire, has_both=deployment.provider in _HAVE_BOTH)


@lru_cache(maxsize=4096)
def _select_amounts(model: str, wire: Wire, *, has_both: bool) -> Amounts:
    amounts = describe_amounts(model)
    if wire is Wire.RESPONSES:
        return replace(amounts, budget=None)
    if has_both and amounts.efforts is not None:
        return replace(amounts, efforts=amounts.efforts - {ReasoningEffort.MAX})
    return amounts


def _name_model(deployment: Deployment) -> str:
    """Returns litellm's name of the model that takes the amount: of one behind a proxy, or behind an address."""
    if deployment.provider == "litellm_proxy" and deployment.base_model:
        return deployment.base_model
    return f"{find_provider(deployment)}/{name_deciding_model(deployment).partition('/')[2]}"


@lru_cache(maxsize=4096)
def describe_amounts(model: str) -> Amounts:
    """Returns what a model takes: by the facts about Claude, else by our table, else by litellm's price map.

    Nothing is known of a model that none of them has, such as one of a server of one's own.
    """
    if is_claude(model):
        return _describe_claude(describe_claude(model))
    prefix, _, name = model.partition("/")
    own_name = _find_own_name(model)
    if (amounts := find_row(prefix, own_name)) is not None:
        return amounts
    names = dict.fromkeys((name, own_name, _DATE.sub("", own_name)))
    listed = (find_price_map().find_facts(f"{prefix}/{each}") for each in names)
    facts = next((each for each in listed if each is not None), None)
    if facts is None:
        return Amounts()
    return NEVER if facts.efforts == NEVER.efforts else Amounts(efforts=facts.efforts)


def is_claude(model: str) -> bool:
    """Whether a model is one of Anthropic's, in a protocol that takes the amount in Anthropic's words."""
    prefix, _, name = model.partition("/")
    return prefix == "anthropic" or (prefix in _HOSTS_OF_CLAUDE and "claude" in name)


def _find_own_name(model: str) -> str:
    """Returns the name of a model without what stands before it, such as a region, or behind it."""
    found = _OWN_NAME.fullmatch(model)
    return model.partition("/")[2] if found is None else next(filter(None, found.groups()))


def _describe_claude(facts: ClaudeModel) -> Amounts:
    """Returns what a model of Anthropic's takes.

    The provider's documentation: "the minimum budget is 1,024 tokens", "budget_tokens must be less than max_tokens".
    The largest budget leaves room for the answer within the model's own limit.
    """
    if not facts.reasons:
        return NEVER
    efforts = {ReasoningEffort.NONE} if not facts.always_thinks else set()
    budget = None
    if facts.takes_budgets:
        most = facts.max_output_tokens - ANSWER_TOKENS
        budget = TokenRange(_MIN_BUDGET_OF_CLAUDE, most if most > _MIN_BUDGET_OF_CLAUDE else None, within_limit=True)
    return Amounts(
        efforts=frozenset(efforts | facts.efforts),
        budget=budget,
        reasons_on_request=not facts.thinks_adaptively,
    )
