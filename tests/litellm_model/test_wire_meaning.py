"""The oracle of the differential test: what it holds for the same, and what it tells apart."""

from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from reasoning_grpc.v1.completion_pb2 import CompleteRequest, Sampling, Tool
from tests.support.differential.case import list_paths
from tests.support.differential.requests import ALL_CASES
from tests.support.differential.schema_forms import FORMS, STRICT_FORMS
from tests.support.factories import a_wire_request
from tests.support.wire_meaning import UnreadableBody, find_differences, read_body, read_request
from tests.support.wire_meaning.schemas import find_schema_difference, find_telling_sample, normalize

Schema = Any

OF_THE_SERVER_ALONE: Final = {
    "CompleteRequest.agent",
    "CompleteRequest.fallback_models",
    "CompleteRequest.model",
    "CompleteRequest.request_id",
    "RoutingOptions.route",
    "IncludeOptions.task_results",
    "IncludeOptions.thoughts",
    "IncludeOptions.tool_results",
    "Part.paused_run",
}
"""Fields that no upstream gets; `model` and `request_id` are set when a request is sent."""


def test_every_field_is_in_a_request() -> None:
    """The requests of the differential test set every field of the API that a model can notice."""
    covered = {name for case in ALL_CASES for name in name_fields(case.request)}

    assert covered | OF_THE_SERVER_ALONE == set(list_fields(CompleteRequest.DESCRIPTOR))
    assert covered & OF_THE_SERVER_ALONE == set()


def name_fields(request: CompleteRequest) -> set[str]:
    """Returns the fields that a request sets, by message and name."""
    found: set[str] = set()
    waiting: list[Any] = [request]
    while waiting:
        message = waiting.pop()
        for field, value in message.ListFields():
            found.add(f"{field.containing_type.name}.{field.name}")
            if field.type == FieldDescriptor.TYPE_MESSAGE and not field.message_type.GetOptions().map_entry:
                waiting += value if field.is_repeated else [value]
    return found


def list_fields(message: Descriptor) -> set[str]:
    """Returns the fields of a message and of the messages in it, but those of the agent and of its paused runs."""
    found = {f"{message.name}.{field.name}" for field in message.fields}
    inner = {
        field.message_type
        for field in message.fields
        if field.message_type is not None and not field.message_type.GetOptions().map_entry
    }
    for each in inner:
        if each.name not in {"AgentOptions", "PausedRun"}:
            found |= list_fields(each)
    return found


def test_every_enum_value_is_in_a_request() -> None:
    """The requests set every value of every enum that a model can notice."""
    text = "\n".join(str(case.request) for case in ALL_CASES)
    file = CompleteRequest.DESCRIPTOR.file
    enums = [file.enum_types_by_name[name] for name in ("ToolChoiceMode", "ReasoningEffort")]
    names = {value.name for enum in enums for value in enum.values if value.number}

    assert {name for name in names if name not in text} == set()


def test_requests_have_names_of_their_own() -> None:
    """No two requests have one name, so that a failure names one request."""
    names = [case.name for case in ALL_CASES]

    assert len(set(names)) == len(names)


def test_paths_of_a_request() -> None:
    """The paths of a request's fields are those that violations use."""
    request = a_wire_request(sampling=Sampling(stop_sequences=["a"], logit_bias={7: 1}), tools=[Tool(name="f")])

    assert {"messages[0].content[0].text", "sampling.stop_sequences[0]", "tools[0].name"} <= set(list_paths(request))
    assert "sampling.logit_bias[7]" in set(list_paths(request))


@pytest.mark.parametrize("name", FORMS)
def test_a_schema_means_itself(name: str) -> None:
    """A schema means what its normal form means, and no sample tells the two apart."""
    form = FORMS[name]

    assert find_schema_difference(form, form) == ()
    assert normalize(normalize(form)) == normalize(form)
    assert find_telling_sample(form, normalize(form)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(True, {}, id="true"),
        pytest.param({"not": {}}, False, id="false"),
        pytest.param({"const": 1}, {"enum": [1]}, id="const"),
        pytest.param({"enum": ["C", "F"]}, {"type": "string", "enum": ["F", "C"]}, id="type-of-an-enum"),
        pytest.param({"type": ["null", "string"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}, id="nullable"),
        pytest.param({"type": ["integer", "number"]}, {"type": "number"}, id="numbers"),
        pytest.param({"oneOf": [{"type": "string"}, {"type": "integer"}]}, {"type": ["string", "integer"]}, id="oneOf"),
        pytest.param({"allOf": [{"type": "string"}, {"minLength": 2}]}, {"type": "string", "minLength": 2}, id="allOf"),
        pytest.param({"$ref": "#/$defs/a", "$defs": {"a": {"type": "string"}}}, {"type": "string"}, id="reference"),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}, id="limits-of-integers"
        ),
        pytest.param({"type": "string", "items": {}}, {"type": "string"}, id="keyword-of-another-type"),
        pytest.param({"type": "array", "items": {}, "minItems": 0}, {"type": "array"}, id="keywords-that-say-nothing"),
    ],
)
def test_schemas_of_one_meaning(one: Schema, other: Schema) -> None:
    """Two ways to write a schema are the same, and no sample tells them apart."""
    assert find_schema_difference(one, other) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"type": "object"}, {"type": "object", "additionalProperties": False}, id="closed"),
        pytest.param({"enum": ["C", "F"]}, {"enum": ["C"]}, id="enum"),
        pytest.param({"enum": [1]}, {"enum": ["1"]}, id="enum-of-another-type"),
        pytest.param({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0}, id="exclusive"),
        pytest.param({"type": "string", "minLength": 2}, {"type": "string"}, id="length"),
        pytest.param({"type": ["string", "null"]}, {"type": "string"}, id="null"),
        pytest.param({"properties": {"a": {}}, "required": ["a"]}, {"properties": {"a": {}}}, id="required"),
        pytest.param({"type": "array", "items": {"type": "string"}}, {"type": "array"}, id="items"),
        pytest.param(
            {"oneOf": [{"minimum": 0}, {"maximum": 9}]}, {"anyOf": [{"minimum": 0}, {"maximum": 9}]}, id="oneOf"
        ),
        pytest.param({"properties": {"a": {"type": "string"}}}, {"properties": {}}, id="property"),
    ],
)
def test_schemas_of_different_meanings(one: Schema, other: Schema) -> None:
    """Schemas of different meanings differ, and a sample shows it."""
    assert find_schema_difference(one, other) != ()
    assert find_telling_sample(one, other) is not None


@pytest.mark.parametrize("name", STRICT_FORMS)
def test_samples_tell_a_form_from_every_other(name: str) -> None:
    """The samples show the difference between a form and each other form with the same names of properties."""
    form = STRICT_FORMS[name]
    others = [each for each in STRICT_FORMS.values() if normalize(each) != normalize(form)]

    assert [other for other in others if find_telling_sample(form, other) is None] == []


def test_a_body_with_an_unknown_member_is_not_read() -> None:
    """A reader says that it does not know a member, so that nothing unknown passes for the same."""
    with pytest.raises(UnreadableBody):
        read_body("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": [{"type": "new"}]}]}, "")
    with pytest.raises(UnreadableBody):
        read_body("/v1/unknown", {}, "")


def test_a_lost_field_is_a_difference() -> None:
    """A parameter that does not leave is named as missing; one that nobody asked for, as added."""
    asked = read_request(a_wire_request(sampling=Sampling(seed=0)), "m")
    left = read_body(
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 1.0, "x": 1},
        "",
    )

    differences = [(each.field, each.what) for each in find_differences(asked, left)]

    assert differences == [("sampling.seed", "missing"), ("sampling.temperature", "added"), ("extras.x", "added")]
