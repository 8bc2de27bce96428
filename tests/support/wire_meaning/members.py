"""Looks for members of a body that its reader does not know, so that nothing unknown passes for the same."""

import re
from collections.abc import Iterator
from typing import Any, Final

from tests.support.wire_meaning.meaning import UnreadableBody


def _split(*lines: str) -> frozenset[str]:
    return frozenset(name for line in lines for name in line.split())


_ANTHROPIC: Final = _split(
    "type text cache_control source media_type data url thinking signature id name input tool_use_id",
    "content is_error role title description input_schema strict budget_tokens display format schema",
    "effort user_id disable_parallel_tool_use",
)
_GEMINI: Final = _split(
    "parts text role thought inlineData fileData mimeType fileUri data functionCall functionResponse name",
    "id args response thoughtSignature functionDeclarations description parameters parametersJsonSchema",
    "functionCallingConfig mode allowedFunctionNames",
)
_BEDROCK: Final = _split(
    "text cachePoint type role content image document format source bytes name toolUse toolUseId input",
    "toolResult status reasoningContent reasoningText signature redactedContent toolSpec description",
    "inputSchema json strict auto any tool toolChoice tools textFormat structure jsonSchema schema",
    "temperature topP maxTokens stopSequences",
)
_RESPONSES: Final = _split(
    "type role content text refusal image_url detail file_data filename call_id",
    "name arguments output id summary encrypted_content phase description parameters strict schema",
    "effort file_url prompt_cache_breakpoint mode format",
)
_KNOWN: Final = (
    (re.compile(r"/messages$"), _ANTHROPIC),
    (re.compile(r":streamGenerateContent$"), _GEMINI),
    (re.compile(r"/converse(-stream)?$"), _BEDROCK),
    (re.compile(r"/responses$"), _RESPONSES),
)
"""The members of members that the readers know; those of the body itself are extras where they do not."""
_FREE: Final = _split(
    "input input_schema schema args response parameters parametersJsonSchema json generationConfig",
    "additionalModelRequestFields x_option",
)
"""Members whose value is data of the caller's, or is read to its end."""


def refuse_unknown_members(path: str, body: Any) -> None:
    """Raises UnreadableBody for a member that the reader of a protocol does not know."""
    known = next((names for pattern, names in _KNOWN if pattern.search(path)), None)
    if known is not None:
        for name in (name for value in body.values() for name in _list_names(value)):
            if _in_camel_case(name) not in known and name not in known:
                raise UnreadableBody(f"the member {name}")


def _list_names(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                yield name
                if name not in _FREE:
                    yield from _list_names(each)
        case list():
            for each in value:
                yield from _list_names(each)


def _in_camel_case(name: str) -> str:
    return re.sub(r"_(.)", lambda found: found[1].upper(), name)
