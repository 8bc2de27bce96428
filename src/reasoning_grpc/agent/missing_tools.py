"""Reports the tools that a request may use and that cannot be called now."""

from collections.abc import Sequence
from typing import Final

from reasoning_grpc.domain import AgentOptions, EffectiveSetting, EffectiveSettingCause, ToolInfo

_FIELD: Final = "agent.allowed_tools"
_ALL: Final = "all tools"
_NONE: Final = "none"


def find_missing_tools(
    requested: AgentOptions, offered: Sequence[ToolInfo], unready_servers: Sequence[str]
) -> EffectiveSetting | None:
    """Returns the setting that reports missing tools; None when there are none.

    `offered` are the tools that can be called. `unready_servers` are the MCP servers that may offer further tools to
    the request, and have no connection now.
    """
    names = [tool.name for tool in offered]
    missing = sorted((requested.allowed_tools or frozenset()).difference(names))
    if not missing and not unready_servers:
        return None
    reasons = [f"There is no connection to the MCP server {name} now." for name in unready_servers]
    if requested.allowed_tools is None:
        wished = _ALL
        effective = f"all tools but those of {', '.join(unready_servers)}"
    else:
        wished = ", ".join(sorted(requested.allowed_tools))
        effective = ", ".join(names) or _NONE
        reasons = reasons or ["Some of these tools cannot be called now."]
    return EffectiveSetting(_FIELD, wished, effective, EffectiveSettingCause.TOOLS_UNAVAILABLE, " ".join(reasons))
