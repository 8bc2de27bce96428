"""Differences of Gemini's protocol."""

from typing import Final

from tests.support.differential.documented.row import row
from tests.support.differential.targets import Target
from tests.support.wire_meaning import Difference
from tests.support.wire_meaning.schemas import find_telling_sample

_CLOSED: Final = "Three things are not said, because the model gives only the members that a schema lists"


def _takes_the_same(difference: Difference, _target: Target) -> bool:
    """Whether no sample value tells the two schemas apart."""
    return find_telling_sample(difference.asked, difference.left) is None


def _is_open(difference: Difference, _target: Target) -> bool:
    """Whether the schemas differ only by members that the one that left does not list."""
    return bool(_drop_members_without_words(difference.asked) == difference.left)


def _drop_members_without_words(schema: object) -> object:
    """Returns the schema without forbidden members, and without a word on those that are not listed."""
    if isinstance(schema, list):
        return list(map(_drop_members_without_words, schema))
    if not isinstance(schema, dict):
        return schema
    return {
        keyword: _drop_members_without_words(value)
        for keyword, value in schema.items()
        if value is not False or keyword == "default"
    }


ROWS: Final = (
    row("gemini", "messages[].name|end_user", "missing", is_reported=True),
    row("gemini", "messages[].content[].text", "moved", is_reported=True),
    row("gemini", "messages[].content[].reasoning.redacted", "missing", is_reported=True),
    row(
        "gemini",
        "messages[].content[].signature",
        "missing on .*",
        is_reported=True,
        holds=lambda difference, _: difference.left == "",
    ),
    row(
        "gemini",
        "messages[].content[].signature",
        "added on call",
        documented="gets the signature that Google names for it",
    ),
    row("gemini", "messages[].content[].refusal", "as a text", documented="A refusal is sent as a text."),
    row("gemini", "messages[].content[].media.filename", "missing", documented="File names of media are not sent."),
    row("gemini", "messages[]", "missing", documented="Messages without content are left out."),
    row(
        "gemini",
        "messages[].content[].tool_call",
        "changed",
        documented="are sent as `malformed_arguments`, in an object",
        holds=lambda difference, _: "malformed_arguments" in difference.left["arguments"],
    ),
    row(
        "gemini",
        "response_format.json_schema.name|response_format.json_schema.strict",
        "missing|changed",
        documented="The `name` of a format is not sent, and its schema always holds.",
    ),
    row(
        "gemini",
        "response_format.json_schema.description",
        "missing",
        documented="Its `description` goes into the schema.",
    ),
    row(
        "gemini",
        "sampling.temperature",
        "added",
        documented="litellm gives the newer models of Gemini a temperature of 1",
        holds=lambda difference, _: difference.left == 1.0,
    ),
    row(
        "gemini",
        "tools[]|tool_choice",
        "missing",
        documented="With `tool_choice` NONE, the tools are left out instead.",
        holds=lambda _, target: "gemini-2" in target.name,
    ),
    row(
        "gemini",
        "tools[].parameters_schema|response_format.json_schema.schema",
        "schema: .*",
        documented=_CLOSED,
        holds=_is_open,
    ),
    row(
        "gemini",
        "tools[].parameters_schema|response_format.json_schema.schema",
        "schema: .*",
        documented="What has another form there keeps its meaning",
        holds=_takes_the_same,
    ),
)
"""The rows of the table."""
