"""Makes the result of an MCP server's tool readable for the SDK, which refuses a whole result for one part of it."""

from typing import Any, Final

from reasoning_grpc.tools.results import describe_unknown_block

_KNOWN_TYPES: Final = frozenset({"text", "image", "audio", "resource", "resource_link"})


def prepare_call_result(result: dict[str, Any]) -> None:
    """Changes a result so that the SDK reads all of it that can be read; any other result stays as it is.

    Some servers leave `content` out where they write `structuredContent`. A block of a type that the protocol does not
    know becomes a text that describes it.
    """
    if result.get("content") is None and isinstance(result.get("structuredContent"), dict):
        result["content"] = []
    if isinstance(content := result.get("content"), list):
        result["content"] = [_convert_unknown_block(block) for block in content]


def _convert_unknown_block(block: Any) -> Any:
    """Returns a block as it is, or a text in its place where its type is unknown."""
    if not isinstance(block, dict) or block.get("type") in _KNOWN_TYPES:
        return block
    return {"type": "text", "text": describe_unknown_block(block)}
