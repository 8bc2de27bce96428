"""Finds the settings that name a tool which an MCP server does not list; only its list can show that."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from reasoning_grpc.config import McpServerEntry
from reasoning_grpc.tools.mcp_tool import build_public_name


def find_setting_problems(
    entry: McpServerEntry, named_tools: Mapping[str, str], own_names: Collection[str]
) -> tuple[str, ...]:
    """Returns a sentence for each setting that fits no listed tool.

    `named_tools` has the public names that the configuration mentions, by the places where it does; names of other
    servers are ignored. `own_names` are the listed tools by the server's own names.
    """
    return tuple(_find_problems(entry, named_tools, own_names))


def _find_problems(entry: McpServerEntry, named_tools: Mapping[str, str], own_names: Collection[str]) -> Iterator[str]:
    for name in sorted(entry.tools or ()):
        if name not in own_names:
            yield _describe(f"mcp_servers.{entry.name}.tools: {name!r}", entry.name, name, own_names)
    public_names = {build_public_name(entry.prefix, name) for name in own_names}
    for place, name in named_tools.items():
        if name.startswith(entry.prefix) and name not in public_names:
            yield _describe(place, entry.name, name, public_names)


def _describe(place: str, server: str, name: str, known: Collection[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"{place} fits no tool of the mcp server {server}{hint}"
