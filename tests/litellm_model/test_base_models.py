"""The model that `base_model` names decides what a call may hold; the name that leaves is the deployment's own."""

from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import (
    ReasoningEffort,
    ReasoningOptions,
    Sampling,
    Secret,
    Tool,
    Wire,
)
from reasoning_grpc.litellm_model.library import import_litellm
from reasoning_grpc.litellm_model.request import choose_model, find_known_name
from reasoning_grpc.v1 import completion_pb2
from tests.support.agent import agent_config, collect_events, find_finish, name_end, reasoning_request, write_plan
from tests.support.captured_body import Json, capture_body
from tests.support.classification import AUTO, CLASSIFIER, classify, write_choice
from tests.support.factories import a_wire_request
from tests.support.serving import config_for, judging_config, provider_entry, serving
from tests.support.unsent import a_deployment, a_model_call, build_request
from tests.support.upstream import FakeUpstream

PAIRS: Final = {
    "azure/our-deployment": ("azure/gpt-5", "azure/o3-mini", "azure/eu/gpt-5.1", "openai/o1", "azure/gpt-4o"),
    "azure/demo3": ("azure/gpt-4o-mini",),
    "openai/NAME": ("openai/gpt-5", "openai/o3-mini", "azure/eu/gpt-5.1", "openrouter/openai/gpt-5", "openai/gpt-4"),
    "openai/gpt-5": ("openai/gpt-4o",),
}
"""Deployments, and base models for them; the name "demo3" alone would count as a model of the series o3."""

FIELDS: Final[dict[str, tuple[dict[str, Any], dict[str, Any]]]] = {
    "limit": ({"sampling": Sampling(max_output_tokens=50)}, {"max_tokens": 50}),
    "temperature": ({"sampling": Sampling(temperature=0.3)}, {"temperature": 0.3}),
    "top_p": ({"sampling": Sampling(top_p=0.5)}, {"top_p": 0.5}),
    "stop": ({"sampling": Sampling(stop_sequences=("x",))}, {"stop": ["x"]}),
    "presence_penalty": ({"sampling": Sampling(presence_penalty=1)}, {"presence_penalty": 1}),
    "frequency_penalty": ({"sampling": Sampling(frequency_penalty=1)}, {"frequency_penalty": 1}),
    "logprobs": ({"sampling": Sampling(logprobs=True)}, {"logprobs": True}),
    "seed": ({"sampling": Sampling(seed=1)}, {"seed": 1}),
    "effort": ({"reasoning": ReasoningOptions(effort=ReasoningEffort.LOW)}, {"reasoning_effort": "low"}),
    "single calls": ({"parallel_tool_calls": False, "tools": (Tool("f"),)}, {"parallel_tool_calls": False}),
}
"""Fields of a call, and the parameters of litellm for them."""


def _map_parameters(provider: str, name: str, parameters: Json) -> Json | None:
    """Returns what litellm's configuration class of a model makes of parameters; None if the class refuses them."""
    litellm = import_litellm()
    provider_name = litellm.LlmProviders(provider)
    config = litellm.utils.ProviderConfigManager.get_provider_chat_config(model=name, provider=provider_name)
    if parameters.keys() - set(config.get_supported_openai_params(model=name)):
        return None
    try:
        mapped: Json = config.map_openai_params(dict(parameters), {}, model=name, drop_params=False)
    except litellm.UnsupportedParamsError:
        return None
    return mapped


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("own", "base"), [(own, base) for own, bases in PAIRS.items() for base in bases])
async def test_the_base_model_decides(own: str, base: str, field: str) -> None:
    """Each parameter is sent or refused as litellm's configuration class of the base model says."""
    provider, _, name = own.partition("/")
    arguments, parameters = FIELDS[field]
    expected = _map_parameters(provider, base.rpartition("/")[2], parameters)
    deployment, call = a_deployment(own, base_model=base), a_model_call(**arguments)

    if expected is None:
        with pytest.raises(Exception, match=r"support"):
            await build_request(deployment, call)
        return
    body = (await build_request(deployment, call)).body

    assert body.pop("model") == name
    assert {key: body[key] for key in expected} == expected
    assert body.keys() - {"messages", "tools", "stream", "stream_options"} == expected.keys()


@pytest.mark.parametrize(
    ("own", "base", "url", "name"),
    [
        ("azure/our", "azure/gpt-5", "/openai/deployments/our/chat/completions?api-version=2025-02-01-preview", "our"),
        ("openai/NAME", "azure/gpt-5-pro", "/responses", "NAME"),
        ("openai/NAME", "anthropic/claude-sonnet-4-5", "/chat/completions", "NAME"),
        ("litellm_proxy/team", "anthropic/claude-sonnet-4-5", "/chat/completions", "team"),
        ("custom_openai/our", "openai/gpt-5", "/chat/completions", "our"),
        ("openrouter/our/preset", "openai/gpt-5", "/chat/completions", "our/preset"),
        ("groq/our", "groq/openai/gpt-oss-20b", "/chat/completions", "our"),
        ("mistral/ft:our", "mistral/magistral-small-2506", "/v1/chat/completions", "ft:our"),
        ("xai/our", "xai/grok-4", "/chat/completions", "our"),
        ("deepseek/our", "deepseek/deepseek-reasoner", "/chat/completions", "our"),
        ("together_ai/our", "together_ai/deepseek-ai/DeepSeek-R1", "/chat/completions", "our"),
        ("hosted_vllm/our", "openai/gpt-4o", "/chat/completions", "our"),
        ("databricks/our", "databricks/databricks-claude-sonnet-4", "/chat/completions", "our"),
        ("fireworks_ai/our", "fireworks_ai/deepseek-r1", "/chat/completions", "accounts/fireworks/models/our"),
        (
            "fireworks_ai/accounts/me/models/our",
            "fireworks_ai/deepseek-r1",
            "/chat/completions",
            "accounts/me/models/our",
        ),
        ("anthropic/our", "anthropic/claude-sonnet-4-5", "/v1/messages", "our"),
        ("gemini/our", "gemini/gemini-2.5-pro", "/models/our:streamGenerateContent?alt=sse", None),
        ("ollama_chat/our", "ollama_chat/llama3", "/api/chat", "our"),
    ],
)
async def test_the_own_name_leaves(own: str, base: str, url: str, name: str | None) -> None:
    """The body, or the address where the provider has it there, names the deployment, and not the base model."""
    request = await build_request(
        a_deployment(own, base_model=base, api_base="http://127.0.0.1:9"), a_model_call(tools=(Tool("f"),))
    )

    assert (request.url, request.body.get("model")) == (f"http://127.0.0.1:9{url}", name)


@pytest.mark.parametrize("route", ["", "converse/"])
async def test_bedrock_gets_the_own_name_in_its_address(monkeypatch: pytest.MonkeyPatch, route: str) -> None:
    """A profile of Bedrock takes what its base model takes, in a request that is signed for the profile."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/our"
    deployment = a_deployment(
        f"bedrock/{route}{profile}", base_model="bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0"
    )
    call = a_model_call(reasoning=ReasoningOptions(budget_tokens=2000))

    request = await build_request(deployment, call)

    assert "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Four/" in request.url
    assert "claude" not in str(request)
    assert "2000" in str(request.body)


def test_litellms_own_client_gets_the_own_name() -> None:
    """Without a key, litellm's client calls Azure, so that the base model is only a hint to litellm."""
    deployment = a_deployment("azure/our", base_model="azure/gpt-5", api_key=Secret(""))

    assert choose_model(deployment) == {"model": "azure/our", "base_model": "azure/gpt-5"}


async def test_an_unset_base_model_changes_nothing() -> None:
    """Without a base model, the name of the deployment decides."""
    call = a_model_call(sampling=Sampling(max_output_tokens=50))

    assert (await build_request(a_deployment("azure/our"), call)).body["max_tokens"] == 50


DEPLOYED: Final = {"azure": "azure/our-deployment", "openai": "openai/NAME"}


@pytest.mark.parametrize("provider", DEPLOYED)
async def test_a_request_to_a_deployment(upstream: FakeUpstream, provider: str) -> None:
    """The limit of a request reaches a deployment of a reasoning model under the name that such models take."""
    entry = provider_entry(upstream, provider, litellm_model=DEPLOYED[provider], base_model=f"{provider}/gpt-5")

    async with serving(config_for(entry)) as running:
        body = await capture_body(
            upstream, running, a_wire_request(sampling=completion_pb2.Sampling(max_output_tokens=50))
        )

    assert body == {
        "model": DEPLOYED[provider].partition("/")[2],
        "messages": [{"role": "user", "content": "hi"}],
        "max_completion_tokens": 50,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("name", ["o1", "o4-mini"])
async def test_a_model_of_azure_that_litellm_does_not_stream(upstream: FakeUpstream, name: str) -> None:
    """A model for which litellm requests one whole answer from Azure is served like any other."""
    entry = provider_entry(upstream, "azure", litellm_model="azure/our-deployment", base_model=f"azure/{name}")
    upstream.reply("The answer.")

    async with serving(config_for(entry)) as running:
        answer = await running.client().complete(a_wire_request())

    assert answer.message.content[0].text == "The answer."
    (request,) = upstream.requests
    assert request.body == {"model": "our-deployment", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_refused_parameter_is_named(upstream: FakeUpstream) -> None:
    """A parameter that the base model does not take is refused by the request's own field."""
    entry = provider_entry(upstream, "azure", litellm_model="azure/our-deployment", base_model="azure/gpt-5")

    async with serving(config_for(entry)) as running:
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(a_wire_request(sampling=completion_pb2.Sampling(stop_sequences=["x"])))

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [violation.field for violation in failed.value.violations] == ["sampling.stop_sequences"]
    assert upstream.requests == []


@pytest.mark.parametrize("provider", DEPLOYED)
async def test_the_agent_runs_on_a_deployment(upstream: FakeUpstream, provider: str) -> None:
    """Each step of the agent limits its answer by the parameter that the base model takes."""
    entry = provider_entry(
        upstream, provider, litellm_model=DEPLOYED[provider], base_model=f"{provider}/gpt-5", wire=Wire.CHAT
    )
    upstream.reply(write_plan(action="finish"))
    upstream.reply("The answer.")

    async with serving(agent_config(upstream, entry=entry)) as running:
        events = await collect_events(running, reasoning_request())

    assert name_end(find_finish(events)) == "FINISHED"
    assert all(request.body["max_completion_tokens"] for request in upstream.requests[:1])
    assert not any("max_tokens" in request.body or "temperature" in request.body for request in upstream.requests)


@pytest.mark.parametrize("provider", DEPLOYED)
async def test_the_classifier_runs_on_a_deployment(upstream: FakeUpstream, judge: FakeUpstream, provider: str) -> None:
    """The classifier limits its answer by the parameter that the base model takes."""
    config = judging_config(upstream, judge)
    entry = provider_entry(judge, provider, "judge", litellm_model=DEPLOYED[provider], base_model=f"{provider}/gpt-5")
    config = replace(config, models={**config.models, "judge": entry})
    judge.reply(write_choice("passthrough"))

    async with serving(config) as running:
        decision = await classify(running, **AUTO)

    assert (decision.route, decision.source) == ("passthrough", CLASSIFIER)
    (request,) = judge.requests
    assert request.body["max_completion_tokens"]
    assert not {"max_tokens", "temperature"} & request.body.keys()


UNLISTED: Final = {
    "openai/gpt-5.6-2027-01-31": "openai/gpt-5.6",
    "openai/ft:gpt-5.4-mini:our-org::a1": "openai/gpt-5.4-mini",
    "azure/gpt-5.4-2027-01-31": "azure/gpt-5.4",
    "openai/gpt-5.6": "",
    "openai/gpt-5.4-2026-03-05": "",
    "openai/our-model-2027-01-31": "",
    "openai/openai/gpt-5.6-2027-01-31": "",
    "anthropic/claude-opus-5-2027-01-31": "",
}


@pytest.mark.parametrize(("model", "known"), UNLISTED.items())
def test_the_name_by_which_litellm_knows_a_model(model: str, known: str) -> None:
    """A name with a date that litellm does not list stands for the name without it, and a tuned model for its own."""
    assert find_known_name(model) == known


@pytest.mark.parametrize("model", [model for model, known in UNLISTED.items() if known])
async def test_a_model_with_a_new_date_takes_what_its_family_takes(upstream: FakeUpstream, model: str) -> None:
    """litellm judges a request to a model with a date that it does not list by the name that it lists."""
    none, greatest = completion_pb2.REASONING_EFFORT_NONE, completion_pb2.REASONING_EFFORT_MAX
    entry = provider_entry(upstream, model.partition("/")[0], litellm_model=model)
    async with serving(config_for(entry)) as running:
        response = await running.client().complete(
            a_wire_request(reasoning=completion_pb2.ReasoningOptions(effort=greatest))
        )
        await running.client().complete(
            a_wire_request(
                reasoning=completion_pb2.ReasoningOptions(effort=none),
                sampling=completion_pb2.Sampling(temperature=0.5),
            )
        )

    effective = [(setting.field, setting.effective) for setting in response.effective_settings]
    assert effective == [("reasoning.effort", "XHIGH")]
    assert [request.body["reasoning_effort"] for request in upstream.requests] == ["xhigh", "none"]
    assert upstream.requests[1].body["temperature"] == 0.5
    names = {request.body["model"] for request in upstream.requests}
    assert names == {model.partition("/")[2]}
