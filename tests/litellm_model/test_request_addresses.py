"""Where a request is sent, with which headers, keys and defaults of its entry."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain import Sampling as Defaults
from reasoning_grpc.domain import Secret
from reasoning_grpc.v1.completion_pb2 import Sampling
from reasoning_grpc.v1.messages_pb2 import ROLE_SYSTEM, ROLE_USER, Part
from tests.support.captured_body import BARE, PREFIXES, Json, a_wire_message, capture_body, encode_exactly
from tests.support.factories import a_wire_request
from tests.support.serving import UPSTREAM_KEY, RunningServer, config_for, model_entry, provider_entry, serving
from tests.support.upstream import FakeUpstream

DEFAULTS: Final = Defaults(temperature=0.3, top_p=0.9, top_k=40, max_output_tokens=256)
WIRE_DEFAULTS: Final = {"temperature": 0.3, "top_p": 0.9, "top_k": 40, "max_tokens": 256}
PROMPT: Final = {"role": "system", "content": "be kind"}
HI: Final = {"role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("fields", "added"),
    [
        pytest.param({}, {"messages": [PROMPT, HI]} | WIRE_DEFAULTS, id="all"),
        pytest.param(
            {"sampling": Sampling(temperature=0, top_p=1, top_k=1, max_output_tokens=1)},
            {"messages": [PROMPT, HI], "temperature": 0.0, "top_p": 1.0, "top_k": 1, "max_tokens": 1},
            id="overridden-by-the-request",
        ),
        pytest.param(
            {
                "messages": [
                    a_wire_message(ROLE_USER, Part(text="hi")),
                    a_wire_message(ROLE_SYSTEM, Part(text="be brief")),
                ]
            },
            {"messages": [HI, {"role": "system", "content": "be brief"}]} | WIRE_DEFAULTS,
            id="system-message-of-the-request",
        ),
    ],
)
async def test_defaults_of_the_entry(upstream: FakeUpstream, fields: Json, added: Json) -> None:
    """An entry's system prompt and defaults are sent for fields that the request leaves unset."""
    entry = model_entry(upstream.api_base, defaults=DEFAULTS, system_prompt="be kind")

    async with serving(config_for(entry)) as running:
        body = await capture_body(upstream, running, a_wire_request(**fields))

    assert encode_exactly(body) == encode_exactly(BARE | added)


async def test_path_and_headers(upstream: FakeUpstream, prefix_server: RunningServer) -> None:
    """The path is that of the API base, the key the entry's, the id the request's; there is no other header."""
    await prefix_server.client().complete(a_wire_request(request_id="req-7"))

    (captured,) = upstream.requests
    assert (captured.method, captured.path) == ("POST", "/v1/chat/completions")
    assert dict(captured.headers) == {
        "Host": f"127.0.0.1:{upstream.port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(captured.raw)),
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "reasoning-grpc",
        "Authorization": f"Bearer {UPSTREAM_KEY}",
        "X-Client-Request-Id": "req-7",
    }


async def test_a_slash_after_the_api_base(upstream: FakeUpstream) -> None:
    """A slash after the API base makes no difference."""
    async with serving(config_for(model_entry(upstream.api_base + "/"))) as running:
        await running.client().complete(a_wire_request())

    assert [captured.path for captured in upstream.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_key_of_the_environment_is_not_sent(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    """An entry without a key sends none, whatever litellm would find in the environment."""
    for name in ("OPENAI_API_KEY", "LITELLM_PROXY_API_KEY", "CUSTOM_OPENAI_API_KEY"):
        monkeypatch.setenv(name, "sk-of-the-environment")
    entry = model_entry(upstream.api_base, litellm_model=f"{prefix}/fake", api_key=Secret(""))

    async with serving(config_for(entry)) as running:
        await running.client().complete(a_wire_request())

    (captured,) = upstream.requests
    assert "Authorization" not in captured.headers
    assert "sk-of-the-environment" not in repr(dict(captured.headers)) + captured.raw.decode()


async def test_azure_has_its_own_address(upstream: FakeUpstream) -> None:
    """Deployment, version and key are sent where Azure expects them; everything else is the OpenAI protocol."""
    entry = provider_entry(
        upstream, "azure", litellm_model="azure/our gpt", litellm_params={"api_version": "2030-01-01"}
    )
    async with serving(config_for(entry)) as running:
        await running.client().complete(a_wire_request())

    (captured,) = upstream.requests
    assert captured.path == "/openai/deployments/our%20gpt/chat/completions?api-version=2030-01-01"
    assert captured.headers["api-key"] == UPSTREAM_KEY
    assert "Authorization" not in captured.headers
    assert captured.body == BARE | {"model": "our gpt"}


@pytest.mark.parametrize("mark", ["o_series", "gpt5_series"])
async def test_a_mark_of_the_model_is_no_part_of_the_name(upstream: FakeUpstream, mark: str) -> None:
    """What tells litellm which model a deployment of Azure is stands neither in the address nor in the body."""
    entry = provider_entry(upstream, "azure", litellm_model=f"azure/{mark}/our-gpt")
    async with serving(config_for(entry)) as running:
        await running.client().complete(a_wire_request(sampling=Sampling(max_output_tokens=5)))

    (captured,) = upstream.requests
    assert captured.path.startswith("/openai/deployments/our-gpt/chat/completions?")
    assert (captured.body["model"], captured.body["max_completion_tokens"]) == ("our-gpt", 5)


async def test_azures_newer_address_needs_no_version(upstream: FakeUpstream) -> None:
    """An address of Azure's that ends in v1 has the plain OpenAI protocol."""
    entry = model_entry(f"{upstream.api_base}/", litellm_model="azure/fake")
    async with serving(config_for(entry)) as running:
        await running.client().complete(a_wire_request())

    (captured,) = upstream.requests
    assert captured.path == "/v1/chat/completions"
    assert captured.headers["Authorization"] == f"Bearer {UPSTREAM_KEY}"


@pytest.mark.parametrize("provider", ["openai", "azure", "hosted_vllm", "anthropic", "gemini"])
async def test_a_key_of_the_environment_is_never_sent(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """No provider's entry without a key sends one, whatever litellm would find in the environment."""
    key = Secret("") if provider != "azure" else Secret(UPSTREAM_KEY)
    for name in ("OPENAI", "AZURE", "HOSTED_VLLM", "ANTHROPIC", "GEMINI", "GOOGLE"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-of-the-environment")

    async with serving(config_for(provider_entry(upstream, provider, api_key=key))) as running:
        await running.client().complete(a_wire_request())

    (captured,) = upstream.requests
    assert "sk-of-the-environment" not in f"{captured.path}{dict(captured.headers)}{captured.raw!r}"


@pytest.mark.parametrize("provider", ["openai", "azure", "hosted_vllm", "anthropic", "gemini", "bedrock"])
async def test_the_callers_trace_continues(upstream: FakeUpstream, provider: str) -> None:
    """The upstream gets request id and trace context, in every way that a call goes."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with serving(config_for(provider_entry(upstream, provider))) as running:
        call: Any = running.stub.Complete(
            a_wire_request(request_id="req-7"), metadata=(("traceparent", trace), ("tracestate", "a=1"))
        )
        await call

    headers = upstream.requests[0].headers
    assert (headers["traceparent"], headers["tracestate"]) == (trace, "a=1")
    assert headers["X-Client-Request-Id"] == "req-7"
