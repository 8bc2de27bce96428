"""What litellm decides for the first call of a shape is kept, and holds for the next one."""

from typing import Any, Final

import msgspec
import pytest

from reasoning_grpc.domain import (
    Message,
    Part,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Secret,
    Text,
    Tool,
    ToolChoice,
    ToolChoiceMode,
)
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request_mapping import MappedRequest, RequestMapper
from tests.support.unsent import a_deployment, a_model_call

KEY: Final = Secret("key")
PREFIXES: Final = ("openai", "groq", "mistral", "deepseek", "openrouter")


@pytest.fixture
async def mapper() -> RequestMapper:
    """A mapper that has mapped nothing."""
    await library.load()
    return RequestMapper()


def _a_message(text: str) -> Message:
    return Message(Role.USER, (Part(Text(text)),))


async def _map(mapper: RequestMapper, model: str, text: str = "hi", **fields: Any) -> MappedRequest:
    return await mapper.map_call(a_model_call(_a_message(text), **fields), a_deployment(model, api_key=KEY))


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_the_next_call_is_written_from_what_is_kept(mapper: RequestMapper, prefix: str) -> None:
    """A call of a known shape leaves with its own values, as it would by litellm."""
    fields = {"tools": (Tool("f"),), "sampling": Sampling(max_output_tokens=7)}
    await _map(mapper, f"{prefix}/some-model", "one", sampling=Sampling(max_output_tokens=5), tools=(Tool("f"),))

    kept = await _map(mapper, f"{prefix}/some-model", "two", **fields)
    anew = await _map(RequestMapper(), f"{prefix}/some-model", "two", **fields)

    assert mapper.mapping_count == 1
    assert (kept.url, kept.headers, kept.body) == (anew.url, anew.headers, anew.body)
    body = msgspec.json.decode(kept.body)
    assert body["messages"] == [{"role": "user", "content": "two"}]
    assert body.get("max_tokens", body.get("max_completion_tokens")) == 7


@pytest.mark.parametrize("prefix", PREFIXES)
async def test_a_call_that_differs_in_its_messages_alone_is_written_around_them(
    mapper: RequestMapper, prefix: str
) -> None:
    """A call with known parameters leaves in the bytes in which it would leave by litellm, whatever its messages."""
    fields: dict[str, Any] = {
        "tools": (Tool("f", parameters_schema='{"type": "object"}'),),
        "sampling": Sampling(temperature=0.5, max_output_tokens=7, logit_bias={5: 1.0} if prefix == "openai" else {}),
        "end_user": "somebody",
    }
    await _map(mapper, f"{prefix}/some-model", "one", **fields)

    kept = await _map(mapper, f"{prefix}/some-model", "two é \x00", **fields)
    anew = await _map(RequestMapper(), f"{prefix}/some-model", "two é \x00", **fields)

    assert mapper.known_count == 1
    assert kept == anew


async def test_each_difference_beside_the_messages_is_sent(mapper: RequestMapper) -> None:
    """No two calls that differ in a parameter, in its type or in the kinds of their messages share what is kept."""
    calls: list[dict[str, Any]] = [
        {},
        {"sampling": Sampling(temperature=1)},
        {"sampling": Sampling(temperature=1.5)},
        {"end_user": "one"},
        {"end_user": "two"},
        {"tools": (Tool("f"),)},
        {"tools": (Tool("f", "described"),)},
        {"tools": (Tool("f", parameters_schema='{"type": "object", "title": "%s"}' % ("long" * 200)),)},
        {"tools": (Tool("f", parameters_schema='{"type": "object", "title": "%s"}' % ("Long" * 200)),)},
        {"tools": (Tool("f"),), "parallel_tool_calls": False},
        {"tools": (Tool("f"),), "tool_choice": ToolChoice(ToolChoiceMode.REQUIRED)},
        {"tools": (Tool("f"),), "tool_choice": ToolChoice(tool="f")},
        {"response_format": ResponseFormat(ResponseFormatKind.JSON_OBJECT)},
        {"provider_options": {"service_tier": '"flex"'}},
        {"provider_options": {"service_tier": '"auto"'}},
    ]
    for _ in range(2):
        for fields in calls:
            kept = await _map(mapper, "openai/some-model", **fields)
            assert kept == await _map(RequestMapper(), "openai/some-model", **fields)

    assert mapper.known_count == len(calls)


async def test_a_conversation_in_the_options_is_not_replaced(mapper: RequestMapper) -> None:
    """Where an option of the provider's overrides the messages, the next call has its own option again."""
    own = [[{"role": "user", "content": text}] for text in ("one", "two")]

    for messages in own:
        options = {"messages": msgspec.json.encode(messages).decode()}
        request = await _map(mapper, "openai/some-model", provider_options=options)
        assert msgspec.json.decode(request.body)["messages"] == messages
    assert mapper.known_count == 0


async def test_a_value_that_may_decide_is_a_shape_of_its_own(mapper: RequestMapper) -> None:
    """A model that takes only one temperature refuses another one after a call with the right one."""
    model = "openai/gpt-5"
    await _map(mapper, model, sampling=Sampling(temperature=1.0))

    with pytest.raises(Exception, match="temperature"):
        await _map(mapper, model, sampling=Sampling(temperature=0.5))


async def test_each_key_is_sent_with_its_own_calls(mapper: RequestMapper) -> None:
    """What is kept for the calls with one key is not used for those with another."""
    call = a_model_call(_a_message("hi"))

    keys = [
        (await mapper.map_call(call, a_deployment("groq/some-model", api_key=Secret(key)))).headers["authorization"]
        for key in ("one", "two")
    ]

    assert keys == ["Bearer one", "Bearer two"]


async def test_what_litellm_writes_otherwise_is_not_kept(mapper: RequestMapper) -> None:
    """A schema that becomes a tool is written by litellm each time, and the answer is that tool's arguments."""
    schema = ResponseFormat(ResponseFormatKind.JSON_SCHEMA, name="answer", schema='{"type": "object"}')

    request = await _map(mapper, "groq/llama-3.3-70b-versatile", response_format=schema)

    assert request.answers_by_tool
    assert mapper.mapping_count == 0


async def test_the_number_of_kept_mappings_is_bounded() -> None:
    """The mapping that was used least recently goes first."""
    await library.load()
    mapper = RequestMapper(most_mappings=2)

    for temperature in (0.1, 0.2, 0.3):
        await _map(mapper, "openai/some-model", sampling=Sampling(temperature=temperature))

    assert mapper.mapping_count == 2
    assert mapper.known_count <= 2


async def test_each_end_user_takes_a_bounded_part_of_the_memory(mapper: RequestMapper) -> None:
    """However many end users there are, the bytes of a few hundred requests are kept."""
    counts = []
    for number in range(1100):
        await _map(mapper, "openai/some-model", end_user=f"user {number}")
        counts.append(mapper.known_count)

    assert max(counts) == 512
    assert mapper.mapping_count == 1


async def test_the_bytes_that_are_kept_are_bounded() -> None:
    """Long requests leave room for fewer of them, and one that is longer than all the room is not kept."""
    await library.load()
    mapper = RequestMapper(most_known_bytes=10_000)

    async def count_known(characters: int, end_user: str) -> int:
        tools = (Tool("f", "x" * characters),)
        await _map(mapper, "openai/some-model", tools=tools, end_user=end_user)
        return mapper.known_count

    assert [await count_known(2000, f"user {number}") for number in range(6)] == [1, 2, 3, 4, 1, 2]
    assert await count_known(20_000, "another") == 2


@pytest.mark.parametrize("model", ["gemini/gemini-2.5-pro", "anthropic/claude-sonnet-4-5"])
async def test_what_litellm_makes_of_parameters_is_kept(mapper: RequestMapper, model: str) -> None:
    """Where our own code writes the conversation, a call with known parameters leaves as it would by litellm."""
    fields = {"tools": (Tool("f"),), "sampling": Sampling(max_output_tokens=7)}
    await _map(mapper, model, "one", **fields)

    kept = await _map(mapper, model, "two", **fields)
    anew = await _map(RequestMapper(), model, "two", **fields)

    assert mapper.mapping_count == 1
    assert (kept.url, kept.headers, kept.body) == (anew.url, anew.headers, anew.body)
    assert b"two" in kept.body
    assert b"one" not in kept.body


async def test_other_parameters_are_mapped_by_litellm(mapper: RequestMapper) -> None:
    """Each value of a parameter is sent with its own call, and with the key of the call."""
    model = "gemini/gemini-2.5-pro"
    bodies = [(await _map(mapper, model, sampling=Sampling(seed=seed))).body for seed in (1, 2)]
    other = await mapper.map_call(a_model_call(), a_deployment(model, api_key=Secret("another")))

    assert [msgspec.json.decode(body)["generationConfig"]["seed"] for body in bodies] == [1, 2]
    assert other.headers["x-goog-api-key"] == "another"
    assert mapper.mapping_count == 3
