"""Reports of what Bedrock gets otherwise because of litellm: the order of texts, documents, and closed tools."""

import json
from collections.abc import Iterator
from typing import Final

from reasoning_grpc.domain import EffectiveSetting, Media, Message, Role, Text, ToolCall
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.converse.changes import report
from reasoning_grpc.litellm_model.request.dialects.converse.models import describe_bedrock
from reasoning_grpc.llm import ModelCall

_PLACEHOLDER: Final = "."
"""The text that litellm adds to documents, since the provider requires a text beside them."""


def report_order(call: ModelCall, _model: str) -> Iterator[EffectiveSetting]:
    """Reports the texts after a tool call, because litellm puts all texts before the calls."""
    for row, message in enumerate(call.messages):
        has_call = False
        for column, part in enumerate(message.content):
            if has_call and isinstance(part.content, Text) and part.content.text.strip():
                reason = "The provider takes the texts of a message only before its tool calls."
                yield report(f"messages[{row}].content[{column}]", "after a tool call", "before it", reason)
            has_call = has_call or isinstance(part.content, ToolCall)


def report_documents(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports what is lost of documents, or added to them: their names, and a text where there is none."""
    for row, column, media in _find_documents(call.messages):
        if not describe_bedrock(model).by_converse:
            return
        path = f"messages[{row}].content[{column}].media"
        if media.filename:
            yield report(f"{path}.filename", media.filename, "", "litellm names documents by their content.")
        if not _has_text_beside(call.messages, row):
            reason = "The provider requires a text beside documents, so this text is added."
            yield report(path, "without a text", _PLACEHOLDER, reason)


def report_open_tools(call: ModelCall, model: str) -> Iterator[EffectiveSetting]:
    """Reports the tools whose schema forbids other arguments, where litellm leaves this out.

    The answer's schema is such a tool, too, for a model that writes no schemas.
    """
    schemas = [(f"tools[{index}].parameters_schema", tool.parameters_schema) for index, tool in enumerate(call.tools)]
    if call.response_format is not None and not describe_claude(model).writes_schemas:
        schemas.append(("response_format.json_schema.schema", call.response_format.schema))
    for path, schema in schemas:
        if "additionalProperties" not in schema or describe_bedrock(model).takes_closed_tools:
            continue
        if json.loads(schema).get("additionalProperties") is False:
            reason = "The model gets only the properties at the top level of a tool's schema."
            yield report(path, "additionalProperties", "", reason)


def _find_documents(messages: tuple[Message, ...]) -> Iterator[tuple[int, int, Media]]:
    for row, message in enumerate(messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and not part.content.mime_type.startswith("image/"):
                yield row, column, part.content


def _has_text_beside(messages: tuple[Message, ...], row: int) -> bool:
    """Whether the turn of the user in which a message stands has any text; litellm joins successive messages."""
    start = end = row
    while start > 0 and messages[start - 1].role is Role.USER:
        start -= 1
    while end + 1 < len(messages) and messages[end + 1].role is Role.USER:
        end += 1
    parts = (part for message in messages[start : end + 1] for part in message.content)
    return any(isinstance(part.content, Text) and part.content.text.strip() for part in parts)
