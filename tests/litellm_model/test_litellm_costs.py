"""Our costs compared with those of litellm's own calculator, for models of its price map."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain import CostSum, TokenKind, Usage, UsageSource
from reasoning_grpc.litellm_model import find_price_map, library

pytestmark = pytest.mark.thorough

INPUT_KINDS: Final = frozenset({TokenKind.INPUT, TokenKind.CACHED_INPUT, TokenKind.CACHE_WRITE, TokenKind.AUDIO_INPUT})
MODELS: Final = (
    "openai/gpt-4o",
    "openai/gpt-4o-mini",
    "openai/gpt-4.1",
    "openai/gpt-5",
    "openai/gpt-5.6",
    "openai/o3",
    "openai/gpt-audio",
    "openai/ft:gpt-4o-2024-08-06:org::id",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-5",
    "anthropic/claude-haiku-4-5",
    "azure/eu/gpt-4o-2024-08-06",
    "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "dashscope/qwen-plus-latest",
    "dashscope/qwen-turbo",
    "dashscope/qwen-flash",
    "deepinfra/meta-llama/Llama-3.3-70B-Instruct",
    "deepseek/deepseek-chat",
    "fireworks_ai/accounts/fireworks/models/deepseek-v3",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-2.5-pro",
    "mistral/mistral-large-latest",
    "together_ai/Qwen/Qwen2.5-72B-Instruct-Turbo",
    "vertex_ai/gemini-2.5-pro",
    "xai/grok-4.3",
)


def a_usage(input_tokens: int, output_tokens: int, **parts: int) -> Usage:
    """Returns a usage as the provider counts it."""
    return Usage(input_tokens, output_tokens, input_tokens + output_tokens, UsageSource.PROVIDER, **parts)


USAGES: Final = {
    "short": a_usage(1000, 500),
    "odd": a_usage(1237, 419),
    "nothing": a_usage(0, 0),
    "cached": a_usage(10_000, 500, cached_input_tokens=8000),
    "written": a_usage(10_000, 500, cached_input_tokens=1000, cache_write_tokens=6000),
    "all cached": a_usage(10_000, 500, cached_input_tokens=10_000),
    "reasoning": a_usage(1000, 5000, reasoning_tokens=4000),
    "reasoning alone": a_usage(1000, 5000, reasoning_tokens=5000),
    "audio": a_usage(9000, 500, audio_input_tokens=2000),
    **{f"{length} tokens": a_usage(length, 1000) for length in (128_000, 200_000, 256_000, 272_000)},
    **{f"{length + 1} tokens": a_usage(length + 1, 1000) for length in (128_000, 200_000, 256_000, 272_000)},
    "long and cached": a_usage(300_000, 1000, cached_input_tokens=250_000, cache_write_tokens=10_000),
    "long and reasoning": a_usage(300_000, 9000, reasoning_tokens=8000),
}
LONG: Final = USAGES["long and cached"]
"""A usage with tokens of every price except audio, and long enough for the tiers."""
NOT_PRICED: Final = {
    "deepseek/deepseek-v4-flash": "it depends on the hour",
    "openai/gpt-4o-search-preview": "each call pays for a search as well",
    "perplexity/sonar": "each call pays for a search as well",
    "vertex_ai/claude-sonnet-4-5": "it depends on the region",
    "azure/model-router": "it is the router's fee, beside the price of the model that it takes",
    "sagemaker/meta-textgeneration-llama-2-7b": "it is paid by the hour, and listed as 0",
}
"""Models for which litellm computes only a part of the cost, or none."""


def compute_litellm_costs(model: str, usage: Usage) -> tuple[int, int]:
    """Returns litellm's costs of input and output, in nano-dollars."""
    litellm = library.import_litellm()  # first: it keeps litellm from fetching its map
    from litellm.types.utils import CompletionTokensDetailsWrapper, PromptTokensDetailsWrapper

    prefix, _, name = model.partition("/")
    theirs = litellm.Usage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=usage.cached_input_tokens,
            cache_creation_tokens=usage.cache_write_tokens,
            audio_tokens=usage.audio_input_tokens,
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=usage.reasoning_tokens),
    )
    costs: Any = litellm.cost_per_token(model=name, custom_llm_provider=prefix, usage_object=theirs)
    return round(costs[0] * 1e9), round(costs[1] * 1e9)


def compute_our_costs(model: str, usage: Usage) -> tuple[int, int] | None:
    """Returns our costs of input and output, in nano-dollars; None when a price is unknown."""
    facts = find_price_map().find_facts(model)
    assert facts is not None
    costs = CostSum()
    costs.add("m", usage, facts.prices)
    cost = costs.build_cost()
    if cost is None:
        return None
    of_input = sum(item.nano_usd for item in cost.items if item.kind in INPUT_KINDS)
    return of_input, cost.total_nano_usd - of_input


def are_nearly_equal(ours: tuple[int, int], theirs: tuple[int, int]) -> bool:
    """Whether the costs of input and output differ only by rounding."""
    return abs(ours[0] - theirs[0]) <= 2 and abs(ours[1] - theirs[1]) <= 1


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES)
@pytest.mark.parametrize("model", MODELS)
def test_costs_equal_those_of_litellm(model: str, usage: Usage) -> None:
    """Our costs of input and of output equal litellm's to the nano-dollar."""
    assert compute_our_costs(model, usage) == compute_litellm_costs(model, usage)


def test_costs_of_every_model() -> None:
    """By both calculators, every model with a price costs the same but for rounding; most chat models have a price."""
    listed = [
        f"{entry['litellm_provider']}/{key.removeprefix(entry['litellm_provider'] + '/')}"
        for key, entry in library.import_litellm().model_cost.items()
        # litellm does not find every model that it lists for Vertex.
        if entry.get("mode") == "chat" and not entry["litellm_provider"].startswith("vertex_ai")
    ]

    costs = {model: ours for model in listed if (ours := compute_our_costs(model, LONG)) is not None}
    others = {model for model, ours in costs.items() if not are_nearly_equal(ours, compute_litellm_costs(model, LONG))}

    assert len(costs) > 0.85 * len(listed)
    # litellm's calculator for Perplexity ignores cached tokens, although the map has a price for them.
    assert {model.partition("/")[0] for model in others} <= {"perplexity"}


@pytest.mark.parametrize("model", NOT_PRICED, ids=NOT_PRICED.values())
def test_costs_beyond_tokens_are_unknown(model: str) -> None:
    """Where a call costs more than its tokens, litellm computes a part of it; we report the cost as unknown."""
    assert compute_our_costs(model, LONG) is None
    compute_litellm_costs(model, LONG)
