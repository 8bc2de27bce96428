"""Makes the result of an MCP server's tool readable for the SDK, which refuses a whole result for one part of it.

What the SDK takes only in a certain version, or checks more strictly than we need it, goes past it: it moves to the
`_meta` of the result, under names of our own.
"""

from typing import Any, Final

from reasoning_grpc.tools.results import describe_unknown_block

STRUCTURED: Final = "reasoning-grpc/structuredContent"
"""The place of the structured content. Before the version 2026-07-28 the SDK takes it only as an object."""
INPUT_REQUIRED: Final = "reasoning-grpc/inputRequired"
"""The place of a result that asks for input. The SDK refuses one whose requests are incomplete, or an empty list."""
_INPUT_MEMBERS: Final = ("inputRequests", "requestState")
_KNOWN_TYPES: Final = frozenset({"text", "image", "audio", "resource", "resource_link"})


def prepare_call_result(result: dict[str, Any]) -> None:
    """Changes a result so that the SDK reads all of it that can be read; any other result stays as it is.

    Some servers leave `content` out where they write `structuredContent`. A block of a type that the protocol does not
    know becomes a text that describes it. A result that asks for input becomes one without content.
    """
    if "structuredContent" in result:
        _move(result, STRUCTURED, result.pop("structuredContent"))
        result["content"] = result.get("content") or []
    if result.get("resultType") == "input_required":
        _move(result, INPUT_REQUIRED, {member: result.pop(member, None) for member in _INPUT_MEMBERS})
        result |= {"resultType": "complete", "content": []}
    if isinstance(content := result.get("content"), list):
        result["content"] = [_convert_unknown_block(block) for block in content]


def _move(result: dict[str, Any], place: str, value: Any) -> None:
    """Puts a value into the `_meta` of a result."""
    meta = result.get("_meta")
    result["_meta"] = {**(meta if isinstance(meta, dict) else {}), place: value}


def _convert_unknown_block(block: Any) -> Any:
    """Returns a block as it is, or a text in its place where its type is unknown."""
    if not isinstance(block, dict) or block.get("type") in _KNOWN_TYPES:
        return block
    return {"type": "text", "text": describe_unknown_block(block)}
