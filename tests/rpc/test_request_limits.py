"""A request above a limit, of the server or of grpc, is refused before an upstream is called."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import completion_pb2, events_pb2, messages_pb2, models_pb2
from tests.support.bad_requests import (
    UNKNOWN,
    ExpectRefusal,
    a_tool,
    nest_objects,
    violations,
    with_media,
    with_message,
    with_sampling,
    with_schema,
    with_tools,
)
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, serving_upstream
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure

TOO_LARGE: Final = "The request exceeds a limit of this server; see the field violations."
DEEP: Final = "It is nested more than 64 levels deep."


LIMITS = [
    pytest.param(
        with_sampling(stop_sequences=["x"] * 10_000),
        "sampling.stop_sequences",
        "It has 10000 entries; at most 16 are accepted.",
        id="ten thousand stop sequences",
    ),
    pytest.param(
        with_sampling(logit_bias=dict.fromkeys(range(1025), 0.0)),
        "sampling.logit_bias",
        "It has 1025 entries; at most 1024 are accepted.",
        id="biases",
    ),
    pytest.param(
        {"messages": list(a_wire_request().messages) * 1001},
        "messages",
        "It has 1001 entries; at most 1000 are accepted.",
        id="messages",
    ),
    pytest.param(
        with_tools(*(a_tool(f"f{number}") for number in range(129))),
        "tools",
        "It has 129 entries; at most 128 are accepted.",
        id="tools",
    ),
    pytest.param(
        with_tools(
            *(a_tool(f"f{number}") for number in range(129)), tool_choice=completion_pb2.ToolChoice(tool="f128")
        ),
        "tools",
        "It has 129 entries; at most 128 are accepted.",
        id="tools, and a choice among them",
    ),
    pytest.param(
        {"labels": {str(number): "" for number in range(33)}},
        "labels",
        "It has 33 entries; at most 32 are accepted.",
        id="labels",
    ),
    pytest.param(
        {"provider_options": {str(number): "1" for number in range(33)}},
        "provider_options",
        "It has 33 entries; at most 32 are accepted.",
        id="provider options",
    ),
    pytest.param(
        {"fallback_models": ["fake"] * 9},
        "fallback_models",
        "It has 9 entries; at most 8 are accepted.",
        id="fallback models",
    ),
    pytest.param(
        with_tools(a_tool(schema=nest_objects(5000))), "tools[0].parameters_schema", DEEP, id="schema 5000 levels deep"
    ),
    pytest.param(
        with_tools(a_tool(schema=nest_objects(65))), "tools[0].parameters_schema", DEEP, id="schema 65 levels deep"
    ),
    pytest.param(
        with_tools(a_tool(schema="[" * 5000)), "tools[0].parameters_schema", DEEP, id="schema of opening brackets"
    ),
    pytest.param(
        with_schema(name="a", schema=nest_objects(5000)),
        "response_format.json_schema.schema",
        DEEP,
        id="response schema 5000 levels deep",
    ),
    pytest.param(
        {"provider_options": {"top_a": nest_objects(5000)}},
        "provider_options[top_a]",
        DEEP,
        id="provider option 5000 levels deep",
    ),
]


@pytest.mark.parametrize(("fields", "field", "description"), LIMITS)
async def test_a_field_above_a_limit_is_too_large(
    expect_refusal: ExpectRefusal, fields: dict[str, Any], field: str, description: str
) -> None:
    """A field above a limit of the server is REQUEST_TOO_LARGE, and the violation names the field and the limit."""
    failed = await expect_refusal(a_wire_request(**fields))

    assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "REQUEST_TOO_LARGE"
    assert failed.message == f"{TOO_LARGE} {field}: {description}"
    assert failed.violations == violations((field, description))


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(nest_objects(64), id="64 levels"),
        pytest.param(nest_objects(1, '"' + "[" * 100 + '"'), id="brackets in a string"),
        pytest.param(nest_objects(1, '"\\"' + "[" * 100 + '\\\\"'), id="brackets between escapes"),
    ],
)
async def test_a_schema_within_the_depth_limit_is_sent(upstream: FakeUpstream, stub: Any, schema: str) -> None:
    """A schema of exactly the deepest nesting is sent; brackets in strings do not count as nesting."""
    await stub.Complete(a_wire_request(tools=[a_tool(schema=schema)]))

    assert len(upstream.requests) == 1


async def test_a_message_above_our_limit_is_too_large(upstream: FakeUpstream) -> None:
    """A request with too many bytes is REQUEST_TOO_LARGE, whether it was sent compressed or not."""
    request = a_wire_request("x" * 100_000)
    expected = violations(("request", f"It has {request.ByteSize()} bytes; at most 65536 are accepted."))

    async with serving_upstream(upstream, max_request_bytes=65_536) as running:
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            stub: Any = running.stub
            streaming = stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request), compression=compression)
            unary = await expect_failure(stub.Complete(request, compression=compression))
            for failed in (unary, await expect_failure(streaming.read())):
                assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
                assert failed.reason == "REQUEST_TOO_LARGE"
                assert [violation.field for violation in failed.violations] == ["request"]
            assert unary.violations == expected

    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("size", "compression", "message"),
    [
        pytest.param(
            200_000,
            grpc.Compression.NoCompression,
            "SERVER: Received message larger than max (200014 vs. 131072)",
            id="plain",
        ),
        pytest.param(50_000_000, grpc.Compression.Gzip, "Decompressed message larger than max", id="gzip bomb"),
    ],
)
async def test_a_message_above_the_limit_of_grpc_is_refused_by_grpc(
    upstream: FakeUpstream, size: int, compression: grpc.Compression, message: str
) -> None:
    """grpc refuses a message above twice our limit without an ErrorInfo, and the next call is served."""
    async with serving_upstream(upstream, max_request_bytes=65_536) as running:
        failed = await expect_failure(running.stub.Complete(a_wire_request("x" * size), compression=compression))

        assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failed.message == message
        assert failed.reason == ""
        assert upstream.connections == 0
        await running.client().complete(a_wire_request())


async def test_metadata_of_20_kb_is_refused_by_grpc(
    upstream: FakeUpstream, running_server: RunningServer, stub: Any
) -> None:
    """grpc refuses more metadata than it accepts without an ErrorInfo, and the next call is served."""
    failed = await expect_failure(stub.Complete(a_wire_request(), metadata=(("x-big", "y" * 20_480),)))

    assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed.reason == ""
    assert upstream.connections == 0
    assert running_server.server.calls_in_flight == 0
    await stub.Complete(a_wire_request())


TWO_TEXTS: Final = with_message(messages_pb2.ROLE_USER, messages_pb2.Part(text="a"), messages_pb2.Part(text="b"))
CONFIGURED = [
    pytest.param(
        {"max_messages": 1},
        {"messages": list(a_wire_request().messages) * 2},
        "messages",
        "It has 2 entries; at most 1 are accepted.",
        id="messages",
    ),
    pytest.param(
        {"max_parts": 1},
        TWO_TEXTS,
        "messages",
        "They have more than 1 parts, which is the limit.",
        id="parts of a message",
    ),
    pytest.param(
        {"max_parts": 2},
        {"messages": list(a_wire_request().messages) * 3},
        "messages",
        "They have more than 2 parts, which is the limit.",
        id="parts of all messages",
    ),
    pytest.param(
        {"max_tools": 1},
        with_tools(a_tool("f"), a_tool("g")),
        "tools",
        "It has 2 entries; at most 1 are accepted.",
        id="tools",
    ),
    pytest.param(
        {"max_stop_sequences": 0},
        with_sampling(stop_sequences=["x"]),
        "sampling.stop_sequences",
        "It has 1 entries; at most 0 are accepted.",
        id="stop sequences",
    ),
    pytest.param(
        {"max_labels": 1},
        {"labels": {"a": "", "b": ""}},
        "labels",
        "It has 2 entries; at most 1 are accepted.",
        id="labels",
    ),
    pytest.param(
        {"max_json_depth": 2},
        with_tools(a_tool(schema=nest_objects(3))),
        "tools[0].parameters_schema",
        "It is nested more than 2 levels deep.",
        id="depth of a schema",
    ),
    pytest.param(
        {"max_json_bytes": 1024},
        with_tools(a_tool("f", f'{{"a": "{"x" * 600}"}}'), a_tool("g", f'{{"a": "{"é" * 300}"}}')),
        "tools[1].parameters_schema",
        "With it, the JSON of the request has more than 1024 bytes.",
        id="bytes of two schemas",
    ),
    pytest.param(
        {"max_json_bytes": 1024},
        {"provider_options": {"top_a": f'"{"x" * 1024}"'}},
        "provider_options[top_a]",
        "With it, the JSON of the request has more than 1024 bytes.",
        id="bytes of a provider option",
    ),
    pytest.param(
        {"max_media_bytes": 3},
        with_media(mime_type="image/png", data=b"1234"),
        "messages[0].content[0].media.data",
        "With it, the media of the request have more than 3 bytes.",
        id="bytes of an image",
    ),
    pytest.param(
        {"max_request_fields": 1000},
        {"messages": list(a_wire_request("x" * 70_000).messages) + [messages_pb2.Message()] * 1000},
        "request",
        "It has more than 1000 fields, which are not accepted.",
        id="fields",
    ),
]


@pytest.mark.parametrize(("settings", "fields", "field", "description"), CONFIGURED)
async def test_each_limit_is_an_option(
    upstream: FakeUpstream, settings: dict[str, Any], fields: dict[str, Any], field: str, description: str
) -> None:
    """A request above a configured limit is REQUEST_TOO_LARGE, in a stream as in a unary call."""
    request = a_wire_request(**fields)
    async with serving_upstream(upstream, **settings) as running:
        stub: Any = running.stub
        stream = stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request))
        for call in (stub.Complete(request), stream.read()):
            failed = await expect_failure(call)

            assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
            assert failed.reason == "REQUEST_TOO_LARGE"
            assert failed.violations == violations((field, description))

    assert upstream.connections == 0


async def test_a_filter_of_models_has_few_values(stub: Any) -> None:
    """`ListModels` refuses a filter with very many values, and does not look at each of them."""
    many: list[Any] = [models_pb2.MODEL_CAPABILITY_TOOLS] * 65
    request = models_pb2.ListModelsRequest(filter=models_pb2.ModelFilter(capabilities=many, states=[UNKNOWN] * 65))

    failed = await expect_failure(stub.ListModels(request))

    assert failed.reason == "REQUEST_TOO_LARGE"
    assert failed.violations == violations(
        ("filter.capabilities", "It has 65 entries; at most 64 are accepted."),
        ("filter.states", "It has 65 entries; at most 64 are accepted."),
    )


async def test_metadata_within_the_limit_is_always_accepted(upstream: FakeUpstream) -> None:
    """Metadata is accepted up to the configured limit, and refused above it; without our setting gRPC draws lots."""
    async with serving_upstream(upstream, max_metadata_bytes=32 * 1024) as running:
        stub: Any = running.stub
        for _ in range(20):
            await stub.Complete(a_wire_request(), metadata=(("x-big", "y" * 30_000),))
            failed = await expect_failure(stub.Complete(a_wire_request(), metadata=(("x-big", "y" * 40_000),)))
            assert failed.code == grpc.StatusCode.RESOURCE_EXHAUSTED
