"""Differences of Bedrock's Converse protocol; those of Anthropic's models stand in `anthropic`."""

from typing import Any, Final

from tests.support.differential.documented.row import row
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference

_NO_CALLS: Final = "Tools with `tool_choice` NONE are left out where the conversation has no tool calls."


def _is_null_written_as_a_type(difference: Difference, _target: Target) -> bool:
    """Whether the schemas are the same but for null among values."""
    left = {name: value for name, value in difference.left.items() if (name, value) != ("required", [])}
    return bool(_write_null(difference.asked) == left)


def _write_null(schema: Any) -> Any:
    match schema:
        case {"enum": [*values], **rest} if None in values:
            return {**rest, "anyOf": [{"enum": [value for value in values if value is not None]}, {"type": "null"}]}
        case dict():
            return {name: _write_null(value) for name, value in schema.items()}
        case _:
            return schema


ROWS: Final = (
    row(
        "bedrock",
        "tools[].parameters_schema|response_format.json_schema.schema",
        "schema: .*",
        documented="Null among the values of an enum is written as a type, with the same meaning.",
        holds=_is_null_written_as_a_type,
    ),
    row("bedrock", "end_user", "missing", is_reported=True),
    row("bedrock", "messages[].content[].media.filename", "missing", is_reported=True),
    row(
        "bedrock",
        "messages[].content[].tool_result",
        "changed",
        documented='The text of a failed tool result begins with "Error: ".',
        holds=lambda difference, _: difference.left["content"] == f"Error: {difference.asked['content']}",
    ),
    row(
        "bedrock",
        "messages",
        "text added",
        documented='A message that has only documents gets the text ".", because Bedrock requires a text.',
        holds=lambda difference, _: difference.left == ".",
    ),
    row("bedrock", "tools[]", "missing", is_reported=True),
    row("bedrock", "tool_choice", "missing", documented=_NO_CALLS),
    row(
        "bedrock",
        "tools[].description",
        "added",
        documented="A tool without a description gets its name as the description.",
    ),
    row(
        "bedrock",
        "tools[].parameters_schema|response_format.json_schema.schema",
        "annotation: description",
        documented="The description at the top level of a tool's schema is not sent.",
    ),
    row("bedrock", "tools[].parameters_schema", "schema: .*", is_reported=True),
)
"""The rows of the table."""
