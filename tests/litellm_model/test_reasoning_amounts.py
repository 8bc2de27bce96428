"""The amount of reasoning through a running server: what leaves for models of each kind, and what the caller learns."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc import domain
from reasoning_grpc.client import CallFailed, FieldViolation
from reasoning_grpc.domain import Wire
from reasoning_grpc.v1 import completion_pb2, events_pb2
from reasoning_grpc.v1.completion_pb2 import ReasoningEffort, ReasoningOptions
from tests.support.captured_body import Json
from tests.support.differential.capturing import CapturingUpstream
from tests.support.differential.targets import Target, build_config
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, serving
from tests.support.unsent import a_deployment, a_model_call, build_request
from tests.support.wire_calls import read_to_end

_BEDROCK: Final[Json] = {"litellm_params": {"aws_region_name": "eu-central-1"}}
TARGETS: Final = {
    target.name: target
    for target in (
        *(
            Target(litellm_model=model)
            for model in (
                "openai/o3",
                "openai/gpt-5.4",
                "openai/gpt-6-sol",
                "openai/gpt-4o",
                "openai/our-model",
                "anthropic/claude-sonnet-4-5",
                "anthropic/claude-opus-4-8",
                "anthropic/claude-opus-5-5",
                "gemini/gemini-2.5-flash",
                "gemini/gemini-3-flash-preview",
                "deepseek/deepseek-v4-pro",
                "groq/openai/gpt-oss-120b",
                "groq/qwen/qwen3-32b",
                "mistral/mistral-small-latest",
                "mistral/magistral-medium-latest",
                "xai/grok-3-mini",
                "xai/grok-4",
                "openrouter/openai/gpt-5",
                "dashscope/qwen-plus",
                "fireworks_ai/accounts/fireworks/models/kimi-k3",
                "together_ai/openai/gpt-oss-120b",
                "together_ai/zai-org/GLM-5.3",
                "together_ai/Qwen/Qwen3.6-Plus",
                "cerebras/gpt-oss-120b",
                "zai/glm-4.6",
                "zai/glm-5.3",
                "moonshot/kimi-k2.5",
                "moonshot/kimi-k3",
                "perplexity/sonar-deep-research",
                "hosted_vllm/our-model",
                "ollama_chat/qwen3",
                "litellm_proxy/team",
            )
        ),
        Target(litellm_model="openai/gpt-6-luna", wire=Wire.CHAT),
        Target(litellm_model="openai/ours", base_model="openai/gpt-5.4"),
        Target(litellm_model="bedrock/converse/us.anthropic.claude-opus-4-6-v1", **_BEDROCK),
        Target(litellm_model="bedrock/us.amazon.nova-2-lite-v1:0", **_BEDROCK),
        Target(litellm_model="databricks/databricks-claude-sonnet-4"),
    )
}


def _adaptive(effort: str) -> Json:
    return {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": effort}}


def _tokens(number: int) -> Json:
    return {"thinking": {"type": "enabled", "budget_tokens": number}}


def _gemini(**thinking: Any) -> Json:
    return {"generationConfig": {"thinkingConfig": {"includeThoughts": True, **thinking}}}


SENT: Final[list[tuple[str, str | int, Json, str]]] = [
    ("openai/o3", "HIGH", {"reasoning_effort": "high"}, ""),
    ("openai/o3", "XHIGH", {"reasoning_effort": "high"}, "HIGH"),
    ("openai/o3", "MINIMAL", {"reasoning_effort": "low"}, "LOW"),
    ("openai/o3", 3000, {"reasoning_effort": "medium"}, "MEDIUM"),
    ("openai/gpt-5.4", "XHIGH", {"reasoning_effort": "xhigh"}, ""),
    ("openai/gpt-5.4", "MAX", {"reasoning_effort": "xhigh"}, "XHIGH"),
    ("openai/gpt-5.4", "NONE", {"reasoning_effort": "none"}, ""),
    ("openai/ours@openai/gpt-5.4", "MINIMAL", {"reasoning_effort": "low"}, "LOW"),
    ("openai/gpt-6-sol", "MAX", {"reasoning": {"effort": "max"}}, ""),
    ("openai/gpt-6-sol", 20_000, {"reasoning": {"effort": "max"}}, "MAX"),
    ("openai/gpt-6-sol", "XHIGH", {"reasoning_effort": "xhigh"}, ""),
    ("openai/gpt-6-luna", "MAX", {"reasoning_effort": "xhigh"}, "XHIGH"),
    ("openai/gpt-4o", "NONE", {"reasoning_effort": None}, ""),
    ("openai/our-model", "MAX", {"reasoning_effort": "max"}, ""),
    ("openai/our-model", 5000, {"reasoning_effort": "high"}, "HIGH"),
    ("anthropic/claude-sonnet-4-5", "XHIGH", _tokens(8192), "8192 tokens"),
    ("anthropic/claude-sonnet-4-5", 10, _tokens(1024), "1024"),
    ("anthropic/claude-sonnet-4-5", 100_000, {**_tokens(59_904), "max_tokens": 64_000}, "59904"),
    ("anthropic/claude-opus-4-8", "MAX", _adaptive("max"), ""),
    ("anthropic/claude-opus-4-8", "XHIGH", _adaptive("xhigh"), ""),
    ("anthropic/claude-opus-4-8", 5000, _adaptive("high"), "HIGH"),
    (
        "bedrock/converse/us.anthropic.claude-opus-4-6-v1",
        "XHIGH",
        {"additionalModelRequestFields": _adaptive("high")},
        "HIGH",
    ),
    (
        "bedrock/us.amazon.nova-2-lite-v1:0",
        "MAX",
        {"additionalModelRequestFields": {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}},
        "HIGH",
    ),
    ("databricks/databricks-claude-sonnet-4", "MAX", _tokens(16_384), "16384 tokens"),
    ("gemini/gemini-2.5-flash", "MAX", _gemini(thinkingBudget=16_384), "16384 tokens"),
    ("gemini/gemini-2.5-flash", 60_000, _gemini(thinkingBudget=24_576), "24576"),
    ("gemini/gemini-3-flash-preview", "XHIGH", _gemini(thinkingLevel="high"), "HIGH"),
    ("gemini/gemini-3-flash-preview", 600, _gemini(thinkingLevel="minimal"), "MINIMAL"),
    ("deepseek/deepseek-v4-pro", "MAX", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}, ""),
    ("deepseek/deepseek-v4-pro", "MEDIUM", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, "LOW"),
    ("deepseek/deepseek-v4-pro", "NONE", {"thinking": {"type": "disabled"}, "reasoning_effort": None}, ""),
    ("groq/openai/gpt-oss-120b", "MAX", {"reasoning_effort": "high"}, "HIGH"),
    ("groq/qwen/qwen3-32b", "LOW", {"reasoning_effort": "default"}, "on"),
    ("groq/qwen/qwen3-32b", "NONE", {"reasoning_effort": "none"}, ""),
    ("mistral/mistral-small-latest", "LOW", {"reasoning_effort": "high"}, "HIGH"),
    ("mistral/mistral-small-latest", "NONE", {"reasoning_effort": "none"}, ""),
    ("xai/grok-3-mini", "MEDIUM", {"reasoning_effort": "low"}, "LOW"),
    ("openrouter/openai/gpt-5", "MAX", {"reasoning_effort": "xhigh"}, "XHIGH"),
    ("openrouter/openai/gpt-5", 5000, {"reasoning": {"max_tokens": 5000}}, ""),
    ("dashscope/qwen-plus", "HIGH", {"enable_thinking": True, "thinking_budget": 4096}, "4096 tokens"),
    ("dashscope/qwen-plus", 300, {"enable_thinking": True, "thinking_budget": 300}, ""),
    ("dashscope/qwen-plus", "NONE", {"enable_thinking": False, "thinking_budget": None}, ""),
    ("fireworks_ai/accounts/fireworks/models/kimi-k3", "XHIGH", {"reasoning_effort": "high"}, "HIGH"),
    ("together_ai/openai/gpt-oss-120b", "XHIGH", {"reasoning_effort": "high"}, "HIGH"),
    ("together_ai/zai-org/GLM-5.3", "MAX", {"reasoning_effort": "max"}, ""),
    ("together_ai/Qwen/Qwen3.6-Plus", "LOW", {"reasoning": {"enabled": True}, "reasoning_effort": None}, "on"),
    ("together_ai/Qwen/Qwen3.6-Plus", "NONE", {"reasoning": {"enabled": False}}, ""),
    ("cerebras/gpt-oss-120b", 100, {"reasoning_effort": "low"}, "LOW"),
    ("zai/glm-4.6", "LOW", {"thinking": {"type": "enabled"}, "reasoning_effort": None}, "on"),
    ("zai/glm-5.3", "MEDIUM", {"reasoning_effort": "low", "thinking": None}, "LOW"),
    ("moonshot/kimi-k2.5", "NONE", {"thinking": {"type": "disabled"}}, ""),
    ("moonshot/kimi-k3", "MAX", {"reasoning_effort": "max"}, ""),
    ("perplexity/sonar-deep-research", "MAX", {"reasoning_effort": "high"}, "HIGH"),
    ("hosted_vllm/our-model", "XHIGH", {"reasoning_effort": "xhigh"}, ""),
    ("hosted_vllm/our-model", 2048, {"reasoning_effort": "medium"}, "MEDIUM"),
    ("ollama_chat/qwen3", "XHIGH", {"think": True}, "on"),
    ("litellm_proxy/team", 700, _tokens(700), ""),
    ("litellm_proxy/team", "MAX", {"reasoning_effort": "max"}, ""),
]
"""Models, the requested amount, members of what leaves (None: it has none), and what the caller learns."""

REFUSED: Final[list[tuple[str, str | int, str]]] = [
    ("openai/o3", "NONE", "The model always reasons."),
    ("openai/gpt-4o", "HIGH", "The model does not take it."),
    ("openai/gpt-4o", 2000, "The model does not take it."),
    ("anthropic/claude-opus-5-5", "NONE", "The model always reasons."),
    ("gemini/gemini-3-flash-preview", "NONE", "The model always reasons."),
    ("groq/openai/gpt-oss-120b", "NONE", "The model always reasons."),
    ("zai/glm-5.3", "NONE", "The model always reasons."),
    ("moonshot/kimi-k3", "NONE", "The model always reasons."),
    ("mistral/magistral-medium-latest", "HIGH", "The model does not take it."),
    ("xai/grok-4", "LOW", "The model does not take it."),
    ("xai/grok-4", 2000, "The model does not take it."),
]
"""Models, the requested amount, and why it is refused."""


@asynccontextmanager
async def _serve(model: str) -> AsyncIterator[tuple[RunningServer, CapturingUpstream]]:
    """Yields a server with one of the models, and its upstream."""
    async with CapturingUpstream() as upstream, serving(build_config([TARGETS[model]], upstream)) as running:
        yield running, upstream


def _build_request(model: str, amount: str | int) -> completion_pb2.CompleteRequest:
    options = (
        ReasoningOptions(budget_tokens=amount)
        if isinstance(amount, int)
        else ReasoningOptions(effort=ReasoningEffort.Value(f"REASONING_EFFORT_{amount}"))
    )
    return a_wire_request(model=model, reasoning=options, request_id=f"{model[:60]}-{amount}")


@pytest.mark.parametrize(("model", "amount", "members", "effective"), SENT)
async def test_an_amount_leaves_as_the_model_takes_it(
    model: str, amount: str | int, members: Json, effective: str
) -> None:
    """The body holds the amount that takes effect, in the provider's words, and the answer reports another one."""
    request = _build_request(model, amount)

    async with _serve(model) as (running, upstream):
        answer = await running.client().complete(request)

    (captured,) = upstream.take(request.request_id)
    assert {name: _select(captured.body.get(name), value) for name, value in members.items()} == members
    field = "reasoning.budget_tokens" if isinstance(amount, int) else "reasoning.effort"
    reported = [(each.field, each.requested, each.effective) for each in answer.effective_settings]
    assert reported == ([(field, str(amount), effective)] if effective else [])


@pytest.mark.parametrize(("model", "amount", "description"), REFUSED)
async def test_an_amount_that_has_no_nearest_is_refused(model: str, amount: str | int, description: str) -> None:
    """Nothing is sent when the model does not take the amount in any form, and the violation says why."""
    request = _build_request(model, amount)

    async with _serve(model) as (running, upstream):
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    field = "reasoning.budget_tokens" if isinstance(amount, int) else "reasoning.effort"
    assert failed.value.violations == (FieldViolation(field, description),)
    assert upstream.take(request.request_id) == []


async def test_a_refusal_beside_a_budget_names_fields_of_the_request() -> None:
    """What a model takes only without reasoning is refused beside a budget, and the effort is not blamed for it."""
    request = _build_request("openai/gpt-5.4", 2048)
    request.sampling.top_p = 0.5

    async with _serve("openai/gpt-5.4") as (running, upstream):
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert {each.field for each in failed.value.violations} == {"sampling.top_p", "reasoning.budget_tokens"}
    assert upstream.take(request.request_id) == []


@pytest.mark.parametrize(
    ("litellm_model", "host", "effort", "members"),
    [
        (
            "openai/deepseek-v4-pro",
            "api.deepseek.com",
            "XHIGH",
            {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        ),
        ("openai/kimi-k2.6", "api.moonshot.ai", "NONE", {"thinking": {"type": "disabled"}}),
        ("custom_openai/qwen/qwen3-32b", "api.groq.com", "HIGH", {"reasoning_effort": "default"}),
        ("openai/deepseek-v4-pro", "10.0.0.1", "XHIGH", {"reasoning_effort": "xhigh", "thinking": None}),
    ],
)
async def test_the_address_tells_the_provider(litellm_model: str, host: str, effort: str, members: Json) -> None:
    """A provider that is reached as a server of any kind gets the amount in its own words."""
    deployment = a_deployment(litellm_model, api_base=f"https://{host}/v1")
    call = a_model_call(reasoning=domain.ReasoningOptions(effort=domain.ReasoningEffort(effort)))

    body = (await build_request(deployment, call)).body

    assert {name: body.get(name) for name in members} == members


async def test_a_stream_reports_the_amount_as_it_starts() -> None:
    """`started` has the setting before the first delta, with a sentence that says why."""
    request = events_pb2.StreamCompleteRequest(request=_build_request("openai/gpt-5.4", "MAX"))

    async with _serve("openai/gpt-5.4") as (running, _):
        events = await read_to_end(running.stub.StreamComplete(request))

    (setting,) = events[0].started.effective_settings
    assert (setting.field, setting.requested, setting.effective) == ("reasoning.effort", "MAX", "XHIGH")
    assert setting.cause == completion_pb2.EFFECTIVE_SETTING_CAUSE_PROVIDER_LIMIT
    assert setting.reason == "The model does not take this effort; this is the nearest that it takes."


def _select(value: Any, wanted: Any) -> Any:
    """Returns the members of a value that are also in the wanted value."""
    if not isinstance(value, dict) or not isinstance(wanted, dict):
        return value
    return {name: _select(value.get(name), each) for name, each in wanted.items()}
