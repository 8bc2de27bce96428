"""`WireCheck`: a body holds what was requested, and nothing else, whatever litellm makes of the request."""

from typing import Any, Final

import pytest

from reasoning_grpc.domain.errors import UpstreamParameterUnsupported
from reasoning_grpc.litellm_model.request import WireCheck, copy_arguments, find_wire_rules

MESSAGES: Final = [{"role": "user", "content": "hi"}]


def _correct(
    arguments: dict[str, Any], body: dict[str, Any], provider: str = "openai", **options: Any
) -> dict[str, Any]:
    """Returns the corrected body."""
    rules = find_wire_rules(provider)
    assert rules is not None
    return WireCheck(arguments, options, rules, model="m").correct(body)


def _find_refused(arguments: dict[str, Any], body: dict[str, Any], provider: str = "openai") -> list[str]:
    """Returns the fields for which the body is refused."""
    with pytest.raises(UpstreamParameterUnsupported) as failed:
        _correct(arguments, body, provider)
    assert not failed.value.is_upstream_reached
    return [violation.field for violation in failed.value.violations]


@pytest.mark.parametrize(
    ("arguments", "body", "corrected"),
    [
        pytest.param({"seed": 1}, {"seed": 1, "store": True}, {"seed": 1}, id="an addition"),
        pytest.param({"stop": ["a", "b"]}, {"stop": ["a"]}, {"stop": ["a", "b"]}, id="a shorter list"),
        pytest.param(
            {"messages": MESSAGES},
            {"messages": [*MESSAGES, {"role": "user", "content": "Select a tool."}]},
            {"messages": MESSAGES},
            id="an invented message",
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"strict": True}}},
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            {"response_format": {"type": "json_schema", "json_schema": {"strict": True}}},
            id="a member of a format",
        ),
        pytest.param({"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}, id="another name"),
        pytest.param({"stream": True, "stream_options": {}}, {}, {}, id="no stream"),
        pytest.param({"extra_body": {"top_k": 3}}, {"top_k": 3}, {"top_k": 3}, id="a parameter of the provider"),
        pytest.param({"allowed_openai_params": ["user"], "user": "u"}, {"user": "u"}, {"user": "u"}, id="for litellm"),
    ],
)
def test_a_body_is_corrected(arguments: dict[str, Any], body: dict[str, Any], corrected: dict[str, Any]) -> None:
    """Additions are removed, and lists and objects are restored."""
    assert _correct(arguments, {"model": "gpt", **body}) == {"model": "gpt", **corrected}


@pytest.mark.parametrize(
    ("arguments", "body", "fields"),
    [
        pytest.param({"seed": 1, "user": "u"}, {}, ["sampling.seed", "end_user"], id="missing"),
        pytest.param({"temperature": 1.5}, {"temperature": 1}, ["sampling.temperature"], id="a number"),
        pytest.param({"tool_choice": "required"}, {"tool_choice": "any"}, ["tool_choice"], id="a word"),
        pytest.param({"max_tokens": 5}, {"max_completion_tokens": 6}, ["sampling.max_output_tokens"], id="a limit"),
        pytest.param({"logprobs": False}, {"logprobs": None}, ["sampling.logprobs"], id="null"),
    ],
)
def test_a_body_is_refused(arguments: dict[str, Any], body: dict[str, Any], fields: list[str]) -> None:
    """A parameter that is missing, or has another number or word, is refused by the field that it comes from."""
    assert _find_refused(arguments, body) == fields


def test_options_of_the_provider_win() -> None:
    """The provider's own parameters are in the body with the value that the request gives them."""
    assert _correct({"temperature": 1}, {"temperature": 0.5, "foo": 1}, temperature=0.5, foo=1) == {
        "temperature": 0.5,
        "foo": 1,
    }


def test_a_field_that_is_written_otherwise_is_named() -> None:
    """The field of a parameter that the provider has under another name is the request's own."""
    assert _find_refused({"seed": 1}, {}, "mistral") == ["sampling.seed"]


@pytest.mark.parametrize(
    "body",
    [
        {"tools": [{"type": "function", "function": {"name": "json_tool_call", "parameters": {}}}]},
        {
            "tools": [{"type": "function", "function": {"name": "json_tool_call", "parameters": {"type": "object"}}}],
            "tool_choice": "auto",
        },
        {},
    ],
)
def test_a_schema_by_a_tool_must_be_whole(body: dict[str, Any]) -> None:
    """A tool stands for a format only with its schema, and when the model is forced to call it."""
    response_format = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}

    assert _find_refused({"response_format": response_format}, body, "groq") == ["response_format"]


def test_a_protocol_of_its_own_has_no_rules() -> None:
    """Bodies of other protocols, and of prefixes that are not promised, are not compared."""
    assert [find_wire_rules(provider) for provider in ("anthropic", "gemini", "huggingface")] == [None, None, None]


def test_a_copy_shares_nothing_that_can_be_edited() -> None:
    """litellm gets lists and objects of its own, with the texts of the original."""
    arguments = {"messages": [{"role": "user", "content": [{"type": "text", "text": "x" * 1000}]}], "seed": 1}

    copy = copy_arguments(arguments)
    copy["messages"][0]["content"][0]["type"] = "changed"
    copy["messages"].append({})

    assert arguments["messages"] == [{"role": "user", "content": [{"type": "text", "text": "x" * 1000}]}]
    assert copy["messages"][0]["content"][0]["text"] is arguments["messages"][0]["content"][0]["text"]
