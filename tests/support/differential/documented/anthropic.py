"""Differences of Anthropic's models, with their own protocol and on Bedrock."""

from typing import Any, Final

from tests.support.differential.documented.row import row
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference
from tests.support.wire_meaning.meaning import parse_json

_BOTH: Final = "anthropic bedrock"


def _is_only_closed(difference: Difference, _target: Target) -> bool:
    """Whether the schema that left has no other properties than the schema that was asked, and is the same else."""
    return bool(_close(difference.asked) == difference.left)


def _close(schema: Any) -> Any:
    match schema:
        case {"allOf": [one], **rest}:
            return _close(rest | one)
        case {"properties": dict() as named, **rest}:
            closed: Any = {name: _close(value) for name, value in rest.items()}
            closed |= {"properties": {name: _close(value) for name, value in named.items()}}
            return {"additionalProperties": False} | closed
        case dict():
            return {name: _close(value) for name, value in schema.items()}
        case list():
            return [_close(value) for value in schema]
        case _:
            return schema


ROWS: Final = (
    row(
        _BOTH,
        "reasoning.effort",
        "added",
        documented="models that reason unasked, from version 5 on, are asked for summaries",
        holds=lambda difference, _: difference.left == "adaptive",
    ),
    row(_BOTH, "messages[].name", "missing", documented="The `name` of a message is not sent."),
    row(
        _BOTH,
        "sampling.max_output_tokens",
        "added",
        documented="Anthropic's models get the largest `max_tokens` that they take when a request has none",
    ),
    row(
        _BOTH,
        "messages[].content[].cache",
        "missing on .*",
        is_reported=True,
    ),
    row(
        _BOTH,
        "messages[].content[].reasoning",
        "missing",
        is_reported=True,
    ),
    row(_BOTH, "messages[].content[].refusal", "as a text", documented="A refusal is sent as a text."),
    row(
        _BOTH,
        "messages[].content[].tool_call",
        "changed",
        documented="Arguments of a call that are no JSON object are sent as the member `malformed_arguments` of one.",
        holds=lambda difference, _: (
            parse_json(difference.left["arguments"].get("malformed_arguments")) == difference.asked["arguments"]
        ),
    ),
    row(
        _BOTH,
        "messages[].content[].signature",
        "missing on (text|call)",
        documented="The signature of a text or of a call is not sent.",
    ),
    row(
        _BOTH,
        "messages[].content[].text",
        "missing",
        documented="An empty text, and a message without content, are left out.",
        holds=lambda difference, _: difference.asked == "",
    ),
    row(
        _BOTH,
        "messages[].content[].text",
        "missing|changed",
        documented="Blank texts are left out, and so are the blanks at the end of a last message",
        holds=lambda difference, _: difference.asked.rstrip() == (difference.left or ""),
    ),
    row(
        _BOTH,
        "messages[].content[].text",
        "changed",
        documented="A blank message of the system counts as none, so that the `system_prompt` of the entry holds.",
        holds=lambda difference, target: not difference.asked.strip() and difference.left == target.system_prompt,
    ),
    row(_BOTH, "messages[].content[].text", "moved", is_reported=True),
    row(
        _BOTH,
        "messages[]",
        "missing",
        documented="An empty text, and a message without content, are left out.",
    ),
    row(
        _BOTH,
        "parallel_tool_calls",
        "missing",
        documented="Beside `tool_choice` NONE, `parallel_tool_calls` has no meaning, and is not sent.",
    ),
    row(
        _BOTH,
        "response_format.json_schema.description",
        "missing",
        documented="Its description stands in the schema or in the description of the tool.",
    ),
    row(
        _BOTH,
        "response_format.json_schema.name",
        "missing",
        documented="The name of the schema is not sent.",
    ),
    row(
        _BOTH,
        "response_format.json_schema.schema",
        "schema: .*",
        documented="`additionalProperties` becomes false where a schema does not mention it",
        holds=_is_only_closed,
    ),
    row(
        _BOTH,
        "response_format.json_schema.schema",
        "schema: type",
        documented="the answer is an object where the schema does not say its type",
        holds=lambda difference, _: "type" not in difference.asked and difference.left.get("type") == "object",
    ),
    row(_BOTH, "response_format.json_schema.schema", "schema: .*", is_reported=True),
    row(
        _BOTH,
        "response_format.json_schema.strict",
        "changed",
        documented="A model that writes schemas holds its answer to them, with `strict` or without.",
    ),
    row(_BOTH, "response_format.json_schema.strict", "missing", is_reported=True),
)
"""The rows of the table."""
