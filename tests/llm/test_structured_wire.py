"""Typed answers through the real litellm, a real LiteLLM proxy and the real embedded model: what is sent and read."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from reasoning_grpc.catalog.embedded_entry import EmbeddedEntry
from reasoning_grpc.domain import (
    ANONYMOUS,
    AnswerFlaw,
    Capability,
    Deployment,
    FinishReason,
    ModelCallPurpose,
    ModelInfo,
    Role,
    Sampling,
    Secret,
    Usage,
    UsageSource,
)
from reasoning_grpc.domain.errors import UpstreamParameterUnsupported
from reasoning_grpc.domain.events import Event, InternalDelta, ModelCallFinished, ModelCallStarted
from reasoning_grpc.embedded.process import EmbeddedModel
from reasoning_grpc.litellm_model import LiteLLMModel, TransportLimits
from reasoning_grpc.llm import ResilientModel
from reasoning_grpc.llm.structured import (
    BOOLEAN,
    STRING,
    Schema,
    TypedAnswer,
    array_of,
    object_of,
    one_of,
    stream_structured_answer,
)
from tests.support.factories import a_call, a_context, a_deployment, a_message
from tests.support.litellm_proxy import SERVER_KEY, LiteLLMProxy
from tests.support.models import Served, a_model, make_resilient
from tests.support.upstream import CapturedRequest, FakeToolCall, FakeUpstream

# One event loop for all tests here: some share the proxy's process and the upstream behind it.
pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON_SCHEMA: Final = frozenset({Capability.JSON_SCHEMA})
JSON_OBJECT: Final = frozenset({Capability.JSON_OBJECT})
WIRE_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "thought": {"type": "string"},
        "next_action": {"type": "string", "enum": ["continue", "use_tools", "finish"]},
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string", "enum": ["search", "sum"]}, "arguments": {"type": "string"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            },
        },
        "concurrent": {"type": "boolean"},
    },
    "required": ["thought", "next_action", "calls", "concurrent"],
    "additionalProperties": False,
}
"""The schema exactly as a provider must get it."""
PLAN: Final[Schema[dict[str, Any]]] = Schema(
    "plan",
    object_of(
        thought=STRING,
        next_action=one_of(["continue", "use_tools", "finish"]),
        calls=array_of(object_of(name=one_of(["search", "sum"]), arguments=STRING)),
        concurrent=BOOLEAN,
    ),
    dict,
)
VALUE: Final = {"thought": "Easy.", "next_action": "finish", "calls": [], "concurrent": False}
INSTRUCTION: Final = "Answer with one JSON object of this JSON schema, and nothing else: " + json.dumps(WIRE_SCHEMA)
STRICT: Final = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "plan", "schema": WIRE_SCHEMA, "strict": True},
    }
}
CONVERSATION: Final = (a_message("Plan.", Role.SYSTEM), a_message("What now?"))
USAGE: Final = Usage(11, 7, 18, UsageSource.PROVIDER, cached_input_tokens=3, reasoning_tokens=2)


@pytest_asyncio.fixture(loop_scope="module")
async def upstream() -> AsyncIterator[FakeUpstream]:
    """A fake upstream in the event loop of these tests."""
    async with FakeUpstream() as fake:
        yield fake


@dataclass(frozen=True)
class OneModel:
    """A model table with one entry."""

    info: ModelInfo
    reached: Deployment

    def find(self, name: str) -> Served:  # noqa: ARG002
        """Returns the only model."""
        return Served(self.info, self.reached)


def open_model(table: OneModel) -> ResilientModel:
    """Returns what makes calls of the one model of a table."""
    return make_resilient(LiteLLMModel(table, TransportLimits()), find_model=table.find)


@asynccontextmanager
async def make_adapter(reached: Deployment, **info: Any) -> AsyncIterator[ResilientModel]:
    """Returns the adapter with one deployment of a model."""
    model = open_model(OneModel(a_model(**info), reached))
    try:
        yield model
    finally:
        await model.aclose()


def make_model(upstream: FakeUpstream, litellm_model: str) -> Deployment:
    """Returns a model that the fake upstream serves in its provider's protocol."""
    provider = litellm_model.partition("/")[0]
    params = {"api_version": "2024-10-21"} if provider == "azure" else {}
    return a_deployment(litellm_model=litellm_model, api_base=upstream.api_base_for(provider), litellm_params=params)


async def request_plan(
    model: ResilientModel, max_output_tokens: int | None = None, **options: Any
) -> tuple[list[Event], Any]:
    """Returns the events of a request for a plan, and the outcome."""
    call = a_call(messages=CONVERSATION, sampling=Sampling(max_output_tokens=max_output_tokens))
    events = stream_structured_answer(model, call, PLAN, ModelCallPurpose.STEP, a_context(), **options)
    *yielded, outcome = [event async for event in events]
    return yielded, outcome  # type: ignore[return-value]


def split_json(value: Any = VALUE) -> tuple[str, str]:
    """Returns a value as JSON in two deltas."""
    text = json.dumps(value)
    return text[:20], text[20:]


def find_schema(body: Any) -> Any:
    """Returns what a request says of the schema, in its provider's form."""
    names = {"response_format", "output_config", "tools", "tool_choice"}
    config = body.get("generationConfig", {})
    return {name: value for name, value in body.items() if name in names} | {
        name: value for name, value in config.items() if name.startswith("response")
    }


SCHEMA_ON_THE_WIRE: Final[dict[str, dict[str, Any]]] = {
    "openai/fake": STRICT,
    "openai/gpt-4o-mini": STRICT,
    "azure/gpt-4o": STRICT,
    "azure/our-deployment": STRICT,
    "hosted_vllm/fake": STRICT,
    "anthropic/claude-sonnet-4-5": {"output_config": {"format": {"type": "json_schema", "schema": WIRE_SCHEMA}}},
    "anthropic/claude-3-haiku-20240307": {
        "tools": [{"name": "json_tool_call", "input_schema": WIRE_SCHEMA}],
        "tool_choice": {"type": "tool", "name": "json_tool_call"},
    },
    "gemini/gemini-2.5-flash": {"response_mime_type": "application/json", "response_json_schema": WIRE_SCHEMA},
}


@pytest.mark.parametrize(("litellm_model", "sent"), SCHEMA_ON_THE_WIRE.items(), ids=SCHEMA_ON_THE_WIRE)
async def test_the_schema_arrives_as_it_is(upstream: FakeUpstream, litellm_model: str, sent: dict[str, Any]) -> None:
    """The schema arrives minimal, strict and in order, in the provider's own place for it, and not in the prompt."""
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model), capabilities=JSON_SCHEMA) as model:
        _, outcome = await request_plan(model)

    (request,) = upstream.requests
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == sent
    places = [request.raw.index(f'"{name}"'.encode()) for name in VALUE]
    assert places == sorted(places)
    assert request.raw.lower().count(b"next_action") == 2  # its name, and that it is required: nowhere else


async def test_an_answer_given_to_litellms_own_tool(upstream: FakeUpstream) -> None:
    """Older models of Anthropic answer by a tool that litellm adds; this is the answer, not a tool call."""
    upstream.reply(tool_calls=[FakeToolCall("toolu_1", "json_tool_call", split_json())])

    async with make_adapter(
        make_model(upstream, "anthropic/claude-3-haiku-20240307"), capabilities=JSON_SCHEMA
    ) as model:
        _, outcome = await request_plan(model)

    assert outcome == TypedAnswer(VALUE)


@pytest.mark.parametrize("litellm_model", ["openai/fake", "azure/our-deployment", "hosted_vllm/fake"])
async def test_a_json_object(upstream: FakeUpstream, litellm_model: str) -> None:
    """A model that is not known to take a schema gets a request for a JSON object, and the schema in the prompt."""
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model)) as model:
        _, outcome = await request_plan(model)

    (request,) = upstream.requests
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == {"response_format": {"type": "json_object"}}
    assert request.body["messages"] == [
        {"role": "system", "content": f"Plan.\n\n{INSTRUCTION}"},
        {"role": "user", "content": "What now?"},
    ]


async def test_a_json_object_of_gemini(upstream: FakeUpstream) -> None:
    """A request for a JSON object is sent to Gemini in Gemini's own form."""
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, "gemini/gemini-2.5-flash"), capabilities=JSON_OBJECT) as model:
        _, outcome = await request_plan(model)

    (request,) = upstream.requests
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == {"response_mime_type": "application/json"}
    assert request.body["system_instruction"] == {"parts": [{"text": f"Plan.\n\n{INSTRUCTION}"}]}


@pytest.mark.parametrize("litellm_model", ["openai/fake", "hosted_vllm/fake", "anthropic/claude-3-haiku-20240307"])
async def test_the_prompt_alone(upstream: FakeUpstream, litellm_model: str) -> None:
    """A model that takes no JSON object either gets the schema in the prompt alone."""
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model), missing_capabilities=JSON_OBJECT) as model:
        _, outcome = await request_plan(model)

    (request,) = upstream.requests
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == {}
    assert json.dumps(INSTRUCTION)[1:-1].encode() in request.raw


async def test_a_json_object_is_refused_for_anthropic(upstream: FakeUpstream) -> None:
    """A JSON object is refused for Anthropic's models, because litellm would leave it out without an error."""
    async with make_adapter(make_model(upstream, "anthropic/claude-sonnet-4-5"), capabilities=JSON_OBJECT) as model:
        with pytest.raises(UpstreamParameterUnsupported):
            await request_plan(model)

    assert upstream.requests == []


@pytest.mark.parametrize("litellm_model", SCHEMA_ON_THE_WIRE)
async def test_the_repair_on_the_wire(upstream: FakeUpstream, litellm_model: str) -> None:
    """The second request has the bad answer and what is wrong with it, in the form of the first; both are counted."""
    with_words = f"Sure: {json.dumps(VALUE)}"
    upstream.reply(with_words)
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model), capabilities=JSON_SCHEMA) as model:
        events, outcome = await request_plan(model)

    first, second = upstream.requests
    finished = [event for event in events if isinstance(event, ModelCallFinished)]
    member = "messages" if "messages" in first.body else "contents"
    *before, rejected, instruction = second.body[member]
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(first.body) == find_schema(second.body)
    assert before == first.body[member]
    assert (rejected["role"] in {"assistant", "model"}, instruction["role"]) == (True, "user")
    assert json.dumps(with_words)[1:-1] in json.dumps(rejected)
    assert "That answer cannot be used. It is not JSON and nothing else." in json.dumps(instruction)
    assert [event.purpose for event in finished] == [ModelCallPurpose.STEP, ModelCallPurpose.REPAIR]
    assert all((event.usage.input_tokens, event.usage.output_tokens) == (11, 7) for event in finished)
    assert all(event.usage.source is UsageSource.PROVIDER for event in finished)


BAD: Final[dict[str, tuple[dict[str, Any], AnswerFlaw]]] = {
    "not-json": ({"texts": ["Let me think."]}, AnswerFlaw.NOT_JSON),
    "fenced-extra-key": (
        {"texts": ["```json\n", json.dumps(VALUE | {"mood": "glad"}), "\n```"]},
        AnswerFlaw.WRONG_SHAPE,
    ),
    "extra-key": ({"texts": [json.dumps(VALUE | {"mood": "glad"})]}, AnswerFlaw.WRONG_SHAPE),
    "out-of-the-enum": ({"texts": [json.dumps(VALUE | {"next_action": "sleep"})]}, AnswerFlaw.WRONG_SHAPE),
    "empty": ({"texts": [], "finish_reason": "stop"}, AnswerFlaw.EMPTY),
    "cut": ({"texts": split_json()[:1], "finish_reason": "length"}, AnswerFlaw.TRUNCATED),
    "filtered": ({"texts": split_json()[:1], "finish_reason": "content_filter"}, AnswerFlaw.FILTERED),
    "tool-call": ({"texts": [], "tool_calls": [FakeToolCall("c1", "search", "{}")]}, AnswerFlaw.WRONG_SHAPE),
}
"""What the upstream replies, and the flaw of that answer."""


@pytest.mark.parametrize("litellm_model", ["openai/fake", "hosted_vllm/fake", "anthropic/claude-sonnet-4-5"])
@pytest.mark.parametrize(("reply", "flaw"), BAD.values(), ids=BAD)
async def test_a_bad_answer_has_its_flaw(
    upstream: FakeUpstream, litellm_model: str, reply: dict[str, Any], flaw: AnswerFlaw
) -> None:
    """A bad answer has its flaw through both readers, after at most one repair."""
    options = dict(reply)
    texts = options.pop("texts")
    upstream.always.reply(*texts, **options)

    async with make_adapter(make_model(upstream, litellm_model), capabilities=JSON_SCHEMA) as model:
        _, outcome = await request_plan(model)

    assert outcome.flaw is flaw
    assert len(upstream.requests) == (2 if "".join(texts) and flaw is not AnswerFlaw.FILTERED else 1)


@pytest.mark.parametrize(
    ("litellm_model", "flaw"),
    [
        pytest.param("openai/fake", AnswerFlaw.REFUSED, id="own reader"),
        pytest.param("hosted_vllm/fake", AnswerFlaw.REFUSED, id="plain"),
        pytest.param("anthropic/claude-sonnet-4-5", AnswerFlaw.FILTERED, id="anthropic"),
    ],
)
async def test_a_refusal(upstream: FakeUpstream, litellm_model: str, flaw: AnswerFlaw) -> None:
    """A refusal is not repaired, in whichever field the protocol has it."""
    upstream.reply(refusal="I will not.")

    async with make_adapter(make_model(upstream, litellm_model), capabilities=JSON_SCHEMA) as model:
        _, outcome = await request_plan(model)

    assert outcome.flaw is flaw
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("litellm_model", ["openai/fake", "hosted_vllm/fake"])
async def test_an_answer_without_end(upstream: FakeUpstream, litellm_model: str) -> None:
    """The upstream is left when the answer exceeds our limit."""
    upstream.hang_after(50)
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model), capabilities=JSON_SCHEMA) as model:
        events, outcome = await request_plan(model, max_characters=200)
        await upstream.disconnect()

    first = next(event for event in events if isinstance(event, ModelCallFinished))
    assert outcome == TypedAnswer(VALUE)
    assert (first.finish_reason, first.usage.source) == (FinishReason.LENGTH, UsageSource.ESTIMATED)


@pytest.mark.parametrize(
    ("litellm_model", "info", "temperature", "limit"),
    [
        pytest.param("openai/gpt-4o-mini", {"capabilities": JSON_SCHEMA}, 0.0, "max_tokens", id="known"),
        pytest.param("openai/fake", {}, None, "max_tokens", id="unknown"),
        pytest.param(
            "openai/gpt-5",
            {"capabilities": JSON_SCHEMA | {Capability.REASONING}},
            None,
            "max_completion_tokens",
            id="reasons",
        ),
    ],
)
async def test_the_temperature_on_the_wire(
    upstream: FakeUpstream, litellm_model: str, info: dict[str, Any], temperature: float | None, limit: str
) -> None:
    """A temperature is sent only where it is known to be taken: others, such as gpt-5, would refuse the call."""
    upstream.reply(*split_json())

    async with make_adapter(make_model(upstream, litellm_model), **info) as model:
        _, outcome = await request_plan(model)

    (request,) = upstream.requests
    assert outcome == TypedAnswer(VALUE)
    assert request.body.get("temperature") == temperature
    assert request.body[limit] == 1024


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def behind_proxy() -> AsyncIterator[FakeUpstream]:
    """The upstream behind the proxy."""
    async with FakeUpstream() as fake:
        yield fake


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def proxy(behind_proxy: FakeUpstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiteLLMProxy]:
    """A LiteLLM proxy."""
    running = LiteLLMProxy(tmp_path_factory.mktemp("litellm-proxy"), behind_proxy.api_base)
    await running.start()
    try:
        yield running
    finally:
        await running.kill()


def make_proxy_model(proxy: LiteLLMProxy, name: str) -> Deployment:
    """Returns a model of the proxy."""
    return a_deployment(
        litellm_model=f"litellm_proxy/{name}", api_base=f"{proxy.base_url}/v1", api_key=Secret(SERVER_KEY)
    )


def list_chats(upstream: FakeUpstream) -> list[CapturedRequest]:
    """Returns the model calls that arrived; a proxy that has just started requests the list of models by itself."""
    return [request for request in upstream.requests if request.method == "POST"]


@pytest.mark.process
@pytest.mark.parametrize("name", ["fake", "team/known"])
async def test_the_schema_through_a_proxy(proxy: LiteLLMProxy, behind_proxy: FakeUpstream, name: str) -> None:
    """The provider behind the proxy gets exactly our schema, for models that LiteLLM knows and for others."""
    behind_proxy.requests.clear()
    behind_proxy.reply(*split_json())

    async with make_adapter(make_proxy_model(proxy, name), capabilities=JSON_SCHEMA) as model:
        _, outcome = await request_plan(model)

    (request,) = list_chats(behind_proxy)
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == STRICT
    assert request.body["temperature"] == 0.0


@pytest.mark.process
async def test_a_json_object_through_a_proxy(proxy: LiteLLMProxy, behind_proxy: FakeUpstream) -> None:
    """A model of which the proxy says nothing gets the schema in its prompt."""
    behind_proxy.requests.clear()
    behind_proxy.reply(*split_json())

    async with make_adapter(make_proxy_model(proxy, "fake")) as model:
        _, outcome = await request_plan(model)

    (request,) = list_chats(behind_proxy)
    assert outcome == TypedAnswer(VALUE)
    assert find_schema(request.body) == {"response_format": {"type": "json_object"}}
    assert request.body["messages"][0] == {"role": "system", "content": f"Plan.\n\n{INSTRUCTION}"}


@pytest.mark.process
async def test_the_repair_through_a_proxy(proxy: LiteLLMProxy, behind_proxy: FakeUpstream) -> None:
    """Two requests arrive, and both are counted as the provider counted them."""
    behind_proxy.requests.clear()
    behind_proxy.reply("Sure!")
    behind_proxy.reply(*split_json())

    async with make_adapter(make_proxy_model(proxy, "fake"), capabilities=JSON_SCHEMA) as model:
        events, outcome = await request_plan(model)

    assert outcome == TypedAnswer(VALUE)
    assert len(list_chats(behind_proxy)) == 2
    assert [event.usage for event in events if isinstance(event, ModelCallFinished)] == [USAGE, USAGE]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def embedded() -> AsyncIterator[ResilientModel]:
    """The adapter in front of the real embedded model."""
    process = EmbeddedModel()
    await process.start()
    entry = EmbeddedEntry(process, context_tokens=4096)
    model = open_model(OneModel(entry.describe(), entry.find_deployment(ANONYMOUS)))
    try:
        yield model
    finally:
        await model.aclose()
        await process.aclose()


@pytest.mark.process
@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "Plan a trip to Rome and add up what it costs.", "yes", "{}", "ß\n\t\"'"],
)
async def test_the_embedded_model_keeps_to_a_schema(embedded: ResilientModel, question: str) -> None:
    """The grammar of the embedded model forces the schema, so its first answer is a value."""
    schema = Schema[Any]("route", object_of(route=one_of(["direct", "reasoning"]), careful=BOOLEAN), dict)
    call = a_call(messages=(a_message("You choose a route.", Role.SYSTEM), a_message(question)))

    events = stream_structured_answer(embedded, call, schema, ModelCallPurpose.ROUTING, a_context(), repair=None)
    *yielded, outcome = [event async for event in events]

    assert isinstance(outcome, TypedAnswer)
    assert [type(each) for each in yielded if not isinstance(each, InternalDelta)] == [
        ModelCallStarted,
        ModelCallFinished,
    ]


@pytest.mark.process
async def test_the_embedded_model_and_a_long_string(embedded: ResilientModel) -> None:
    """A schema does not limit a string, so an answer is a value or was cut at the limit of its tokens."""
    _, outcome = await request_plan(embedded, max_output_tokens=64)

    assert isinstance(outcome, TypedAnswer) or outcome.flaw is AnswerFlaw.TRUNCATED
