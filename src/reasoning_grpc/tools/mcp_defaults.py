"""Fills in what a result of an MCP server lacks and the protocol of 2026-07-28 wants, so that the SDK can read it."""

from typing import Any, Final

_SCOPES: Final = ("public", "private")


def fill_in_discovery(result: dict[str, Any]) -> None:
    """Completes an answer to `server/discover`. Without that, the SDK takes the server for an older one."""
    if not isinstance(result.get("supportedVersions"), list):
        return
    _fill_in_cache_hints(result)
    if not isinstance(result.get("capabilities"), dict):
        result["capabilities"] = {}


def fill_in_tool_list(result: dict[str, Any]) -> None:
    """Completes an answer to `tools/list`."""
    _fill_in_cache_hints(result)
    if not isinstance(result.get("nextCursor"), str):
        result.pop("nextCursor", None)


def fill_in_result_type(result: dict[str, Any]) -> None:
    """Completes any other result: one that does not say what it is has all that was requested."""
    result.setdefault("resultType", "complete")


def _fill_in_cache_hints(result: dict[str, Any]) -> None:
    """Replaces hints that are missing or cannot be read: the result is then stale at once, and nobody else's."""
    fill_in_result_type(result)
    time_to_live = result.get("ttlMs")
    if not isinstance(time_to_live, int) or isinstance(time_to_live, bool) or time_to_live < 0:
        result["ttlMs"] = 0
    if result.get("cacheScope") not in _SCOPES:
        result["cacheScope"] = "private"
