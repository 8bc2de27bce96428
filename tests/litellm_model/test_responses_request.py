"""The requests to OpenAI's Responses API: their addresses and bodies."""

from contextlib import suppress
from typing import Any, Final

import pytest

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Secret,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Wire,
)
from reasoning_grpc.domain.errors import UpstreamCredentialsRejected, UpstreamParameterUnsupported
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.calls import create_call
from reasoning_grpc.litellm_model.request_mapping import RequestMapper
from reasoning_grpc.litellm_model.transport.connections import ConnectionPool
from reasoning_grpc.litellm_model.transport.exchange import DryExchange, TransportLimits
from tests.support.differential.capturing import CapturingUpstream
from tests.support.openai_names import list_models
from tests.support.unsent import a_deployment, a_model_call, build_request

AZURE: Final = "https://ours.openai.azure.com"
HIGH: Final = ReasoningOptions(effort=ReasoningEffort.HIGH)
NONE: Final = ReasoningOptions(effort=ReasoningEffort.NONE)


def by_responses(model: str = "openai/gpt-5.6", **fields: Any) -> Deployment:
    """Builds a deployment whose calls go to the Responses API."""
    return a_deployment(model, **{"wire": Wire.RESPONSES, **fields})


async def build_body(deployment: Deployment, *messages: Message, **fields: Any) -> dict[str, Any]:
    """Returns the body of a call."""
    return (await build_request(deployment, a_model_call(*messages, **fields))).body


@pytest.mark.parametrize(
    ("model", "api_base", "version", "url"),
    [
        ("openai/gpt-5.6", "", "", "https://api.openai.com/v1/responses"),
        ("openai/gpt-5.6", "http://127.0.0.1:9/v1/", "", "http://127.0.0.1:9/v1/responses"),
        ("litellm_proxy/team", "http://127.0.0.1:9", "", "http://127.0.0.1:9/responses"),
        ("hosted_vllm/qwen", "http://127.0.0.1:9/v1", "", "http://127.0.0.1:9/v1/responses"),
        ("azure/ours", AZURE, "", f"{AZURE}/openai/v1/responses"),
        ("azure/ours", f"{AZURE}/", "2024-10-21", f"{AZURE}/openai/v1/responses"),
        ("azure/ours", AZURE, "v1", f"{AZURE}/openai/v1/responses"),
        ("azure/ours", AZURE, "preview", f"{AZURE}/openai/v1/responses?api-version=preview"),
        (
            "azure/ours",
            AZURE,
            "2025-03-01-preview",
            f"{AZURE}/openai/responses?api-version=2025-03-01-preview",
        ),
        (
            "azure/ours",
            AZURE,
            "2025-04-01-preview",
            f"{AZURE}/openai/responses?api-version=2025-04-01-preview",
        ),
        ("azure/ours", f"{AZURE}/openai/v1/", "2025-04-01-preview", f"{AZURE}/openai/v1/responses"),
    ],
)
async def test_the_address(model: str, api_base: str, version: str, url: str) -> None:
    """Each provider has the API at its own address; Azure's depends on the version of the entry."""
    params = {"api_version": version} if version else {}

    request = await build_request(by_responses(model, api_base=api_base, litellm_params=params), a_model_call())

    assert request.url == url


@pytest.mark.parametrize(
    ("model", "api_base", "headers"),
    [
        ("openai/gpt-5.6", "", {"Authorization": "Bearer key"}),
        ("azure/ours", AZURE, {"api-key": "key"}),
        ("azure/ours", f"{AZURE}/openai/v1", {"Authorization": "Bearer key"}),
    ],
)
async def test_the_key(model: str, api_base: str, headers: dict[str, str]) -> None:
    """The key is in the header that the provider reads."""
    request = await build_request(by_responses(model, api_base=api_base), a_model_call())

    assert request.headers == headers


async def test_a_server_without_a_key_gets_none() -> None:
    """A server without a key in its entry gets no key from elsewhere."""
    request = await build_request(by_responses("hosted_vllm/qwen", api_key=Secret("")), a_model_call())

    assert request.headers == {}


@pytest.mark.parametrize(
    ("variable", "header"),
    [
        ("AZURE_API_KEY", {"api-key": "secret"}),
        ("AZURE_OPENAI_API_KEY", {"api-key": "secret"}),
        ("AZURE_AD_TOKEN", {"Authorization": "Bearer secret"}),
        ("AZURE_OPENAI_AD_TOKEN", {"Authorization": "Bearer secret"}),
    ],
)
async def test_azure_without_a_key(monkeypatch: pytest.MonkeyPatch, variable: str, header: dict[str, str]) -> None:
    """Azure without a key gets the credentials of the machine, which litellm finds."""
    monkeypatch.setenv(variable, "secret")

    request = await build_request(by_responses("azure/ours", api_base=AZURE, api_key=Secret("")), a_model_call())

    assert request.headers == header
    assert request.url == f"{AZURE}/openai/v1/responses"


async def test_chat_completions_of_azure_without_a_key_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """litellm's own client, which sends the calls of Azure without a key, bridges none of them either."""
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "secret")
    await library.load()
    paths: list[str] = []
    async with CapturingUpstream() as upstream:
        for model in ("azure/gpt-5.6", "azure/gpt-5-pro"):
            deployment = a_deployment(
                model, api_base=f"http://127.0.0.1:{upstream.port}", api_key=Secret(""), wire=Wire.CHAT
            )
            exchange = DryExchange(ConnectionPool(limit=1), TransportLimits(), {})
            headers = {"X-Client-Request-Id": model}
            answer = create_call(a_model_call(tools=(Tool("f"),)), deployment, exchange, headers, RequestMapper())
            await answer.open()
            while await answer.next_deltas() is not None:
                pass
            await answer.aclose()
            paths += [captured.path for captured in upstream.take(model)]

    assert paths == [f"/openai/deployments/{name}/chat/completions" for name in ("gpt-5.6", "gpt-5-pro")]


async def test_azure_without_any_credentials_is_not_called() -> None:
    """A call of Azure for which there is neither a key nor a token fails before it is sent."""
    with pytest.raises(UpstreamCredentialsRejected) as raised:
        await build_request(by_responses("azure/ours", api_base=AZURE, api_key=Secret("")), a_model_call())

    assert not raised.value.is_upstream_reached


async def test_the_name_of_the_deployment() -> None:
    """The body names the deployment, and not the model behind it nor litellm's mark."""
    assert (await build_body(by_responses("azure/o_series/ours", base_model="azure/o3")))["model"] == "ours"
    assert (await build_body(by_responses("openai/ours", base_model="openai/gpt-5.6")))["model"] == "ours"


async def test_a_plain_request() -> None:
    """A plain request to a model that reasons asks for encrypted reasoning, and stores nothing."""
    assert await build_body(by_responses()) == {
        "model": "gpt-5.6",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("model", "fields", "include", "reasoning"),
    [
        ("openai/gpt-5.6", {}, True, None),
        ("openai/gpt-5.6", {"include_reasoning": True}, True, {"summary": "auto"}),
        ("openai/gpt-5.6", {"include_reasoning": True, "reasoning": HIGH}, True, {"effort": "high", "summary": "auto"}),
        ("openai/gpt-5.6", {"include_reasoning": True, "reasoning": NONE}, True, {"effort": "none"}),
        ("openai/gpt-4.1", {"include_reasoning": True}, False, None),
        ("openai/ours", {}, False, None),
        ("openai/ours", {"include_reasoning": True}, True, {"summary": "auto"}),
        ("openai/ours", {"reasoning": HIGH}, True, {"effort": "high"}),
        ("hosted_vllm/ours", {"reasoning": NONE}, False, {"effort": "none"}),
        ("litellm_proxy/team", {}, False, None),
    ],
)
async def test_reasoning_is_requested(
    model: str, fields: dict[str, Any], include: bool, reasoning: dict[str, Any] | None
) -> None:
    """A summary and encrypted reasoning are requested from models that may have them."""
    body = await build_body(by_responses(model), **fields)

    assert ("reasoning.encrypted_content" in body.get("include", [])) is include
    assert body.get("reasoning") == reasoning


async def test_answers_are_stored_if_the_operator_says_so() -> None:
    """The key `store` of the entry lets OpenAI keep answers."""
    assert (await build_body(by_responses(store=True)))["store"] is True


async def test_every_parameter() -> None:
    """Each parameter has the name and the form of this API."""
    body = await build_body(
        by_responses("openai/gpt-5.1"),
        sampling=Sampling(temperature=0.2, top_p=0.5, max_output_tokens=16, logprobs=True, top_logprobs=3),
        tools=(Tool("f"), Tool("g", "a tool", '{"type":"object","properties":{"a":{}}}', strict=True)),
        tool_choice=ToolChoice(tool="g"),
        parallel_tool_calls=False,
        reasoning=NONE,
        end_user="u1",
        response_format=ResponseFormat(
            ResponseFormatKind.JSON_SCHEMA, name="n", description="d", schema='{"type":"object"}', strict=True
        ),
        provider_options={"service_tier": '"flex"', "text": '{"verbosity":"low"}', "include": '["x"]'},
    )

    del body["input"]
    assert body == {
        "model": "gpt-5.1",
        "max_output_tokens": 16,
        "temperature": 0.2,
        "top_p": 0.5,
        "top_logprobs": 3,
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {
                "type": "function",
                "name": "g",
                "description": "a tool",
                "parameters": {"type": "object", "properties": {"a": {}}},
                "strict": True,
            },
        ],
        "tool_choice": {"type": "function", "name": "g"},
        "parallel_tool_calls": False,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "n",
                "description": "d",
                "schema": {"type": "object"},
                "strict": True,
            },
            "verbosity": "low",
        },
        "reasoning": {"effort": "none"},
        "user": "u1",
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs", "x"],
        "service_tier": "flex",
        "store": False,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"verbosity": '"low"'}, {"format": {"type": "json_object"}, "verbosity": "low"}),
        ({"verbosity": '"low"', "text": '{"x":1}'}, {"format": {"type": "json_object"}, "verbosity": "low", "x": 1}),
    ],
)
async def test_verbosity_is_a_member_of_the_text(options: dict[str, str], text: dict[str, Any]) -> None:
    """The verbosity has its place beside the format of the answer."""
    form = ResponseFormat(ResponseFormatKind.JSON_OBJECT)

    body = await build_body(by_responses(), response_format=form, provider_options=options)

    assert body["text"] == text
    assert "verbosity" not in body


async def test_a_conversation_keeps_its_order() -> None:
    """Every part goes to its place, with what its signature holds."""
    answer = Message(
        Role.ASSISTANT,
        (
            Part(Reasoning("why"), signature='{"id":"rs_1","encrypted_content":"gAAA"}'),
            Part(Text("wait"), signature='{"phase":"commentary"}'),
            Part(ToolCall("call_1", "f", '{"a":1}')),
            Part(Reasoning(""), signature='{"id":"rs_2","encrypted_content":"gAAB"}'),
            Part(ToolCall("call_2", "f", "{}")),
            Part(Text("one")),
            Part(Refusal("no")),
        ),
    )
    body = await build_body(
        by_responses(system_prompt="be brief"),
        Message(Role.USER, (Part(Text("a")), Part(Text("b")))),
        answer,
        Message(Role.TOOL, (Part(ToolResult("call_1", "found")), Part(ToolResult("call_2", "gone", is_error=True)))),
        Message(Role.ASSISTANT, ()),
    )

    assert body["input"] == [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "be brief"}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": "gAAA",
            "summary": [{"type": "summary_text", "text": "why"}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "wait"}],
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a":1}'},
        {"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAB", "summary": []},
        {"type": "function_call", "call_id": "call_2", "name": "f", "arguments": "{}"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "one"}, {"type": "refusal", "refusal": "no"}],
        },
        {"type": "function_call_output", "call_id": "call_1", "output": "found"},
        {"type": "function_call_output", "call_id": "call_2", "output": "Error: gone"},
        {"type": "message", "role": "assistant", "content": ""},
    ]


async def test_media() -> None:
    """Images and documents are parts of the input, by their data or by their address."""
    parts = (
        Media("image/png", data=b"abc"),
        Media("image/png", uri="https://example.com/a.png"),
        Media("application/pdf", data=b"abc"),
        Media("application/pdf", uri="https://example.com/a.pdf", filename="a.pdf"),
    )
    body = await build_body(by_responses(), Message(Role.USER, tuple(map(Part, parts))))

    assert body["input"][0]["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,YWJj", "detail": "auto"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "auto"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,YWJj"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
    ]


@pytest.mark.parametrize(("model", "is_marked"), [("openai/gpt-5.6", True), ("openai/gpt-5.5", False)])
async def test_cache_marks(model: str, is_marked: bool) -> None:
    """The models that take explicit cache breakpoints get the marks of texts and of results."""
    body = await build_body(
        by_responses(model),
        Message(Role.USER, (Part(Text("long"), cache=True),)),
        Message(Role.ASSISTANT, (Part(ToolCall("call_1", "f", "{}"), cache=True),)),
        Message(Role.TOOL, (Part(ToolResult("call_1", "found"), cache=True),)),
    )

    mark = {"prompt_cache_breakpoint": {"mode": "explicit"}}
    text, found = body["input"][0]["content"], body["input"][-1]["output"]
    assert text == [{"type": "input_text", "text": "long"} | (mark if is_marked else {})]
    assert found == ([{"type": "input_text", "text": "found"} | mark] if is_marked else "found")


@pytest.mark.parametrize(
    ("model", "fields", "names"),
    [
        ("openai/gpt-5.6", {"sampling": Sampling(temperature=0.2)}, ["sampling.temperature"]),
        (
            "openai/gpt-5.6",
            {"sampling": Sampling(temperature=0.2, top_p=0.5)},
            ["sampling.temperature", "sampling.top_p"],
        ),
        ("openai/gpt-5.6", {"sampling": Sampling(seed=1)}, ["sampling.seed"]),
        ("openai/gpt-5.6", {"sampling": Sampling(logprobs=True)}, ["sampling.logprobs"]),
        ("openai/gpt-5.6", {"sampling": Sampling(max_output_tokens=15)}, ["sampling.max_output_tokens"]),
        ("openai/gpt-5.6", {"end_user": "u" * 65}, ["end_user"]),
        ("openai/o3-pro", {"sampling": Sampling(temperature=0.2)}, ["sampling.temperature"]),
        ("azure/o3", {"sampling": Sampling(temperature=0.2)}, ["sampling.temperature"]),
        ("openai/gpt-4.1", {"reasoning": HIGH}, ["reasoning.effort"]),
        (
            "openai/gpt-5.6",
            {"provider_options": {"n": "2", "stop": "[]"}},
            ["provider_options[n]", "provider_options[stop]"],
        ),
    ],
)
async def test_what_the_model_does_not_take_is_named(model: str, fields: dict[str, Any], names: list[str]) -> None:
    """A field that the model does not take is refused by its name, whoever knows it: the API, litellm or we."""
    with pytest.raises(UpstreamParameterUnsupported) as raised:
        await build_body(by_responses(model), **fields)

    assert sorted(violation.field for violation in raised.value.violations) == names


async def test_defaults_that_the_model_does_not_take_are_left_out() -> None:
    """The defaults of an entry hold where the model takes them."""
    defaults = Sampling(temperature=0.4, top_p=0.9, top_k=5, max_output_tokens=300)

    reasoning = await build_body(by_responses("openai/gpt-5-pro", sampling=defaults))
    plain = await build_body(by_responses("openai/gpt-4.1", sampling=defaults))

    names = {"temperature", "top_p", "top_k", "max_output_tokens"}
    assert {name: reasoning[name] for name in names & reasoning.keys()} == {"max_output_tokens": 300}
    assert {name: plain[name] for name in names & plain.keys()} == {
        "temperature": 0.4,
        "top_p": 0.9,
        "max_output_tokens": 300,
    }


async def test_a_call_of_chat_completions_stays_there() -> None:
    """litellm moves no call to the Responses API that we send to Chat Completions, of whatever model."""
    refusals = (UpstreamParameterUnsupported, library.import_litellm().UnsupportedParamsError)
    urls: list[str] = []
    for model in list_models():
        deployment = a_deployment(model, api_base=AZURE, wire=Wire.CHAT)
        for fields in ({}, {"reasoning": HIGH}):
            with suppress(*refusals):  # most models take no effort
                request = await build_request(deployment, a_model_call(tools=(Tool("f"),), **fields))
                urls.append(request.url.partition("?")[0].rpartition("/")[2])

    assert set(urls) == {"completions"}
    assert len(urls) > 300
