"""The one rule for the amount of reasoning: what of a request becomes what, and for which models."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain import EffectiveSettingCause, ReasoningEffort, ReasoningOptions, Sampling
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.prices.efforts import read_efforts
from reasoning_grpc.litellm_model.request.dialects.amounts import (
    Amounts,
    TokenRange,
    describe_amounts,
    fit_amount,
    refuse_amount,
)
from tests.support.unsent import a_model_call

NONE, MINIMAL, LOW, MEDIUM, HIGH, XHIGH, MAX = ReasoningEffort


def _take(*efforts: ReasoningEffort, **more: Any) -> Amounts:
    return Amounts(efforts=frozenset(efforts), **more)


UNKNOWN: Final = Amounts()
ALL: Final = _take(*ReasoningEffort)
ALWAYS: Final = _take(LOW, MEDIUM, HIGH)
GAPS: Final = _take(NONE, LOW, HIGH, MAX)
SWITCH: Final = _take(NONE, is_switch=True)
TOKENS: Final = _take(NONE, budget=TokenRange(1024, 9000), reasons_on_request=True)
SHARED: Final = _take(NONE, budget=TokenRange(1024, within_limit=True))
BOTH: Final = _take(LOW, HIGH, budget=TokenRange(1))
NOTHING: Final = _take()
NEVER: Final = _take(NONE, reasons_on_request=True)

FITTED: Final[list[tuple[Amounts, ReasoningEffort | int, ReasoningEffort | int | None, str]]] = [
    (UNKNOWN, NONE, NONE, ""),
    (UNKNOWN, MAX, MAX, ""),
    (UNKNOWN, 10_000, XHIGH, "XHIGH"),
    (ALL, XHIGH, XHIGH, ""),
    (ALL, NONE, NONE, ""),
    (ALWAYS, MINIMAL, LOW, "LOW"),
    (ALWAYS, XHIGH, HIGH, "HIGH"),
    (ALWAYS, MAX, HIGH, "HIGH"),
    (GAPS, NONE, NONE, ""),
    (GAPS, MINIMAL, LOW, "LOW"),
    (GAPS, MEDIUM, LOW, "LOW"),
    (GAPS, XHIGH, HIGH, "HIGH"),
    (GAPS, 1, LOW, "LOW"),
    (GAPS, 2048, LOW, "LOW"),
    (GAPS, 4095, LOW, "LOW"),
    (GAPS, 4096, HIGH, "HIGH"),
    (GAPS, 16_384, MAX, "MAX"),
    (_take(NONE, HIGH), MINIMAL, HIGH, "HIGH"),
    (SWITCH, NONE, NONE, ""),
    (SWITCH, LOW, LOW, "on"),
    (SWITCH, HIGH, HIGH, "on"),
    (SWITCH, 100, MINIMAL, "on"),
    (TOKENS, NONE, None, ""),
    (TOKENS, MINIMAL, 1024, "1024 tokens"),
    (TOKENS, MEDIUM, 2048, "2048 tokens"),
    (TOKENS, MAX, 9000, "9000 tokens"),
    (TOKENS, 1, 1024, "1024"),
    (TOKENS, 2000, 2000, ""),
    (TOKENS, 20_000, 9000, "9000"),
    (SHARED, NONE, NONE, ""),
    (BOTH, 2000, 2000, ""),
    (BOTH, MEDIUM, LOW, "LOW"),
    (NEVER, NONE, None, ""),
]
"""What a model takes, the requested amount, the amount that takes effect, and how that is reported."""


def _ask(amount: ReasoningEffort | int | None) -> ReasoningOptions:
    if isinstance(amount, int):
        return ReasoningOptions(budget_tokens=amount)
    return ReasoningOptions(effort=amount)


@pytest.mark.parametrize(("amounts", "requested", "effective", "reported"), FITTED)
def test_an_amount_becomes_the_nearest_that_the_model_takes(
    amounts: Amounts, requested: ReasoningEffort | int, effective: ReasoningEffort | int | None, reported: str
) -> None:
    """An amount that the model does not take becomes the nearest in its own form, and is reported."""
    call, setting = fit_amount(a_model_call(reasoning=_ask(requested)), amounts)

    assert call.reasoning == _ask(effective)
    assert (setting.effective if setting else "") == reported
    if setting is not None:
        field = "budget_tokens" if isinstance(requested, int) else "effort"
        assert (setting.field, setting.requested) == (f"reasoning.{field}", str(requested))
        assert setting.cause is EffectiveSettingCause.PROVIDER_LIMIT
    assert list(refuse_amount(a_model_call(reasoning=_ask(requested)), amounts)) == []


REFUSED: Final[list[tuple[Amounts, ReasoningEffort | int, str]]] = [
    (ALWAYS, NONE, "The model always reasons."),
    (_take(budget=TokenRange()), NONE, "The model always reasons."),
    (NOTHING, NONE, "The model does not take it."),
    (NOTHING, LOW, "The model does not take it."),
    (NOTHING, 1000, "The model does not take it."),
    (NEVER, MINIMAL, "The model does not take it."),
    (NEVER, 1000, "The model does not take it."),
]
"""What a model takes, the requested amount, and the description of the violation."""


@pytest.mark.parametrize(("amounts", "requested", "description"), REFUSED)
def test_an_amount_without_a_nearest_is_refused(
    amounts: Amounts, requested: ReasoningEffort | int, description: str
) -> None:
    """NONE is never replaced, and a model that takes no amount refuses each."""
    (violation,) = refuse_amount(a_model_call(reasoning=_ask(requested)), amounts)

    assert violation.field == ("reasoning.budget_tokens" if isinstance(requested, int) else "reasoning.effort")
    assert violation.description == description


@pytest.mark.parametrize(
    ("requested", "limit", "effective", "violation"),
    [
        (HIGH, None, 4096, ""),
        (HIGH, 4097, 4096, ""),
        (HIGH, 4096, 2048, ""),
        (HIGH, 1025, 1024, ""),
        (HIGH, 1024, None, "reasoning.effort"),
        (2000, 2001, 2000, ""),
        (2000, 2000, None, "reasoning.budget_tokens"),
        (1, 1025, 1024, ""),
        (1, 1024, None, "reasoning.budget_tokens"),
    ],
)
def test_a_budget_leaves_room_for_the_answer(
    requested: ReasoningEffort | int, limit: int | None, effective: int | None, violation: str
) -> None:
    """Where the limit of output tokens includes the budget, an effort takes half of a limit that is too low for it."""
    call = a_model_call(reasoning=_ask(requested), sampling=Sampling(max_output_tokens=limit))

    assert [each.field for each in refuse_amount(call, SHARED)] == ([violation] if violation else [])
    if not violation:
        assert fit_amount(call, SHARED)[0].reasoning.budget_tokens == effective


KNOWN: Final[dict[str, tuple[ReasoningEffort, ...] | None]] = {
    "openai/gpt-4o": (NONE,),
    "openai/o3": (LOW, MEDIUM, HIGH),
    "openai/o4-mini": (LOW, MEDIUM, HIGH),
    "openai/gpt-5": (MINIMAL, LOW, MEDIUM, HIGH),
    "openai/gpt-5.1": (NONE, LOW, MEDIUM, HIGH),
    "openai/gpt-5.4": (NONE, LOW, MEDIUM, HIGH, XHIGH),
    "openai/gpt-5-pro": (HIGH,),
    "openai/gpt-5.4-pro": (MEDIUM, HIGH, XHIGH),
    "openai/gpt-5.2-chat-latest": (MEDIUM,),
    "openai/gpt-6-sol": (NONE, LOW, MEDIUM, HIGH, XHIGH, MAX),
    "azure/gpt-5-mini": (MINIMAL, LOW, MEDIUM, HIGH),
    "azure/us/gpt-6.1-sol": (LOW, MEDIUM, HIGH, XHIGH, MAX),
    "openai/gpt-5.4-2027-01-31": (NONE, LOW, MEDIUM, HIGH, XHIGH),
    "openai/ft:gpt-5.1-2025-11-13:our-org::id": (NONE, LOW, MEDIUM, HIGH),
    "openai/ft:gpt-4o-2024-08-06:our-org::id": (NONE,),
    "openai/our-model": None,
    "hosted_vllm/our-model": None,
    "hosted_vllm/openai/gpt-oss-20b": (LOW, MEDIUM, HIGH),
    "anthropic/claude-sonnet-4-5": (NONE,),
    "anthropic/claude-opus-4-6": (NONE, LOW, MEDIUM, HIGH, MAX),
    "anthropic/claude-opus-4-8": (NONE, LOW, MEDIUM, HIGH, XHIGH, MAX),
    "anthropic/claude-opus-5-5": (LOW, MEDIUM, HIGH, XHIGH, MAX),
    "bedrock/converse/us.anthropic.claude-opus-4-8": (NONE, LOW, MEDIUM, HIGH, XHIGH, MAX),
    "bedrock/us.amazon.nova-2-lite-v1:0": (NONE, LOW, MEDIUM, HIGH),
    "bedrock/converse/us.openai.gpt-6-astra": (LOW, MEDIUM, HIGH, XHIGH, MAX),
    "vertex_ai/claude-opus-4-7": (NONE, LOW, MEDIUM, HIGH, XHIGH, MAX),
    "azure_ai/claude-opus-5-5": (LOW, MEDIUM, HIGH, XHIGH, MAX),
    "vertex_ai/gemini-3-pro-preview": (LOW, HIGH),
    "gemini/gemini-2.5-pro": (),
    "gemini/gemini-2.5-flash": (NONE,),
    "gemini/gemini-3-pro-preview": (LOW, HIGH),
    "gemini/gemini-3.1-pro-preview": (LOW, MEDIUM, HIGH),
    "gemini/gemini-3.5-flash": (MINIMAL, LOW, MEDIUM, HIGH),
    "gemini/gemini-flash-latest": (MINIMAL, LOW, MEDIUM, HIGH),
    "gemini/gemini-3.8-flash": (LOW, MEDIUM, HIGH),
    "groq/openai/gpt-oss-120b": (LOW, MEDIUM, HIGH),
    "groq/qwen/qwen3-32b": (NONE,),
    "mistral/magistral-medium-latest": (),
    "mistral/mistral-small-latest": (NONE, HIGH),
    "xai/grok-3-mini": (LOW, HIGH),
    "xai/grok-4": (),
    "xai/grok-4.20-multi-agent": (LOW, MEDIUM, HIGH, XHIGH),
    "xai/grok-4.20-reasoning": (),
    "moonshot/kimi-k3": (LOW, HIGH, MAX),
    "fireworks_ai/kimi-k3": (LOW, HIGH, MAX),
    "zai/glm-5.3-flash": (LOW, HIGH, MAX),
}
"""Models with the efforts that each takes; None where these are not known."""


@pytest.mark.parametrize(("model", "efforts"), KNOWN.items(), ids=KNOWN)
def test_efforts_of_known_models(model: str, efforts: tuple[ReasoningEffort, ...] | None) -> None:
    """The efforts that a model takes are those that its provider documents."""
    assert describe_amounts(model).efforts == (None if efforts is None else frozenset(efforts))


@pytest.mark.parametrize(
    ("model", "budget"),
    [
        ("anthropic/claude-sonnet-4-5", TokenRange(1024, 59_904, within_limit=True)),
        ("anthropic/claude-sonnet-4-6", TokenRange(1024, 123_904, within_limit=True)),
        ("anthropic/claude-opus-4-7", None),
        ("vertex_ai/claude-sonnet-4-5@20250929", TokenRange(1024, within_limit=True)),
        ("gemini/gemini-2.5-pro", TokenRange(128, 32768)),
        ("gemini/gemini-2.5-flash", TokenRange(1, 24576)),
        ("gemini/gemini-2.5-flash-lite-preview-09-2025", TokenRange(512, 24576)),
        ("gemini/gemini-3-pro-preview", None),
        ("dashscope/qwen-plus", TokenRange(1)),
        ("openrouter/openai/gpt-5", TokenRange(1)),
        ("litellm_proxy/our-model", TokenRange(1)),
        ("openai/our-model", None),
    ],
)
def test_budgets_of_known_models(model: str, budget: TokenRange | None) -> None:
    """The numbers of tokens that a model takes are those that its provider documents."""
    assert describe_amounts(model).budget == budget


def test_litellm_reads_the_price_map_in_the_same_way() -> None:
    """Both find the same efforts for each chat model that litellm lists, and only NONE for one that does not reason."""
    litellm = library.import_litellm()
    from litellm.router_utils.reasoning_effort_capability import resolve_supported_reasoning_efforts

    differing = []
    for name, members in litellm.model_cost.items():
        if members.get("mode") not in {"chat", "completion", "responses"} or members.get("supports_reasoning") is False:
            continue
        entry = members | {"key": name}
        twin = litellm.model_cost.get(name.removeprefix(f"{members['litellm_provider']}/"), {})
        theirs = resolve_supported_reasoning_efforts(entry, deployment_is_mapped=True)
        ours = read_efforts(entry, twin)
        if ours != (None if theirs is None else frozenset(ReasoningEffort(effort.upper()) for effort in theirs)):
            differing.append((name, ours, theirs))

    assert differing == []
    assert read_efforts({"supports_reasoning": False}, {}) == frozenset({NONE})
