"""A request above a limit, of the server or of grpc, is refused before an upstream is called."""

from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.v1 import completion_pb2
from tests.support.bad_requests import (
    ExpectRefusal,
    a_tool,
    nest_objects,
    violations,
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
            failed = await expect_failure(running.stub.Complete(request, compression=compression))

            assert failed.code == grpc.StatusCode.INVALID_ARGUMENT
            assert failed.reason == "REQUEST_TOO_LARGE"
            assert failed.violations == expected

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
