"""Strict schemas with the embedded model: what it cannot be held to is refused by name before it answers."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config
from reasoning_grpc.v1 import completion_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, serving

# One server answers all tests here.
pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

FIELD: Final = "response_format.json_schema.schema"
NESTED: Final = {"type": "object", "properties": {"a/b": {"type": "array", "items": {"type": "number", "minimum": 3}}}}

REFUSED: Final[dict[str, tuple[Any, str]]] = {
    "a pattern without anchors": (
        {"type": "string", "pattern": "abc"},
        "#: pattern: It must begin with ^ and end with $.",
    ),
    "an escape": ({"type": "string", "pattern": r"^\d+$"}, r"#: pattern: It has the escape '\\d'."),
    "a minimum of a number": ({"type": "number", "minimum": 3}, "#: minimum: A number cannot be held to it."),
    "a multiple": ({"type": "integer", "multipleOf": 7}, "#: multipleOf: The model cannot be held to it."),
    "a length beside a pattern": (
        {"type": "string", "pattern": "^a+$", "minLength": 3},
        "#: minLength: With a pattern, the model cannot be held to it.",
    ),
    "properties beside anyOf": (
        {"properties": {"a": {"type": "string"}}, "anyOf": [{"properties": {"a": {}}}]},
        "#: properties: Beside anyOf, the model cannot be held to it.",
    ),
    "a nested schema": (NESTED, "#/properties/a~1b/items: minimum: A number cannot be held to it."),
}
"""Schemas, and the description of the violation."""

HELD: Final[dict[str, Any]] = {
    "an object": {
        "type": "object",
        "properties": {"mood": {"enum": ["glad", "sad"]}, "age": {"type": "integer", "minimum": 18, "maximum": 99}},
        "required": ["mood", "age"],
        "additionalProperties": False,
    },
    "a pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3}$"},
    "alternatives": {"oneOf": [{"type": "null"}, {"type": "boolean"}]},
    "a reference": {"$ref": "#/$defs/Pair", "$defs": {"Pair": {"prefixItems": [{"type": "boolean"}, {"const": 3}]}}},
}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[RunningServer]:
    """A server without any configuration, whose requests the embedded model answers."""
    config: Config = config_for()
    async with serving(config) as running:
        yield running


async def ask(running: RunningServer, schema: Any, *, strict: bool | None) -> completion_pb2.CompleteResponse:
    """Requests a short answer of a schema."""
    json_schema = completion_pb2.JsonSchemaFormat(name="a", schema=json.dumps(schema), strict=strict)
    request = a_wire_request(
        "Give me a value.",
        response_format=completion_pb2.ResponseFormat(json_schema=json_schema),
        sampling=completion_pb2.Sampling(max_output_tokens=60, seed=1),
    )
    return await running.client().complete(request)


@pytest.mark.parametrize("name", REFUSED)
async def test_a_keyword_that_is_not_held_is_refused(running: RunningServer, name: str) -> None:
    """A strict schema is refused with the place, the keyword and the reason of what does not hold the model."""
    schema, description = REFUSED[name]

    with pytest.raises(CallFailed) as failed:
        await ask(running, schema, strict=True)

    assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_PARAMETER")
    assert [(each.field, each.description) for each in failed.value.violations] == [(FIELD, description)]
    assert failed.value.interruption is None


@pytest.mark.parametrize("strict", [True, False, None])
async def test_a_schema_that_the_model_refuses_has_a_cause(running: RunningServer, strict: bool | None) -> None:
    """A schema that llama.cpp does not take is refused by name, strict or not."""
    with pytest.raises(CallFailed) as failed:
        await ask(running, {"$ref": "#"}, strict=strict)

    assert failed.value.reason == "UNSUPPORTED_PARAMETER"
    assert [(each.field, each.description) for each in failed.value.violations] == [
        (FIELD, "#: $ref: It must lead to a part of this schema, such as #/$defs/NAME.")
    ]


@pytest.mark.parametrize("name", HELD)
async def test_a_held_schema_is_answered(running: RunningServer, name: str) -> None:
    """The answer to a strict schema that is not refused is valid."""
    answer = await ask(running, HELD[name], strict=True)

    assert answer.finish_reason == completion_pb2.FINISH_REASON_STOP
    Draft202012Validator(HELD[name]).validate(json.loads(answer.message.content[0].text))


async def test_what_need_not_be_strict_is_answered(running: RunningServer) -> None:
    """Without strict, the model answers by the part of the schema that it knows."""
    answer = await ask(running, {"type": "integer", "multipleOf": 7}, strict=None)

    assert isinstance(json.loads(answer.message.content[0].text), int)


async def test_every_problem_is_named_up_to_a_limit(running: RunningServer) -> None:
    """The first ten problems of a schema are named."""
    schema = {"type": "object", "properties": {f"p{n}": {"type": "number", "maximum": n} for n in range(20)}}

    with pytest.raises(CallFailed) as failed:
        await ask(running, schema, strict=True)

    assert [each.description.partition(":")[0] for each in failed.value.violations] == [
        f"#/properties/p{number}" for number in range(10)
    ]
