"""Python functions as tools: built in, named in the configuration, or offered by installed packages."""

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from reasoning_grpc.config import McpServerEntry, ToolEntry, ToolLimits, suggest
from reasoning_grpc.domain import ToolInfo, ToolSource, ToolState
from reasoning_grpc.tools.calculator import calculator
from reasoning_grpc.tools.clock import current_time
from reasoning_grpc.tools.function_tool import FunctionTool
from reasoning_grpc.tools.signature import UnusableFunction
from reasoning_grpc.tools.threads import ToolThreads

ENTRY_POINTS: Final = "reasoning_grpc.tools"
"""The entry point group in which packages offer functions. Each is off until the configuration has an entry for it."""
BUILT_IN: Final[Mapping[str, Callable[..., Any]]] = {"calculator": calculator, "current_time": current_time}
"""The functions that are on unless the configuration says otherwise, because they have no effect outside."""


class FunctionTools:
    """The functions that are tools, those that are switched off, and the problems of their configuration."""

    def __init__(self, entries: Mapping[str, ToolEntry], servers: Iterable[McpServerEntry]) -> None:
        """Imports the functions that are switched on and no others. It ignores entries for tools of MCP servers."""
        self.threads: Final = ToolThreads()
        """The threads of the functions that are not `async def`. They are not started."""
        self.tools: Final[dict[str, FunctionTool]] = {}
        self.off: Final[dict[str, ToolInfo]] = {}
        prefixes = tuple(server.prefix for server in servers)
        offered = _find_entry_points(tuple(sys.path))
        own = {name: entry for name, entry in entries.items() if not name.startswith(prefixes)}
        self.problems: Final = [
            f"tools.{name}.function: the name is one of an MCP server's tools"
            for name, entry in entries.items()
            if name not in own and entry.function
        ]
        for name in dict.fromkeys([*BUILT_IN, *own, *offered]):
            self._load(name, own.get(name), offered.get(name))

    def _load(self, name: str, entry: ToolEntry | None, offered: EntryPoint | None) -> None:
        """Loads one function, or records that it is off or what is wrong with it."""
        if entry is not None and entry.function:
            source, load = ToolSource.FUNCTION, partial(_import_function, entry.function)
        elif name in BUILT_IN:
            source, load = ToolSource.BUILT_IN, partial(BUILT_IN.__getitem__, name)
            entry = entry or ToolEntry(name=name)
        elif offered is not None:
            source, load = ToolSource.ENTRY_POINT, partial(_import_function, f"{offered.module}:{offered.attr}")
        else:
            hint = suggest(name, BUILT_IN)
            self.problems.append(f"tools.{name}: is neither built in nor an entry point; it needs a function{hint}")
            return
        if entry is None or not entry.enabled:
            self.off[name] = ToolInfo(
                name=name, description="", parameters_schema="", source=source, state=ToolState.OFF
            )
            return
        try:
            self.tools[name] = FunctionTool(
                name,
                load(),
                self.threads,
                source=source,
                limits=entry.resolve_limits(ToolLimits()),
                description=entry.description,
                needs_approval=entry.needs_approval or False,
            )
        except UnusableFunction as exc:
            self.problems.append(f"tools.{name}: the function cannot be a tool: {exc}")
        except (Exception, SystemExit) as exc:  # whatever its module raises at import
            self.problems.append(f"tools.{name}: the function cannot be loaded: {_describe(exc)}")


@cache
def _find_entry_points(_path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Returns the functions that packages on this path offer, by name. Of two with one name it keeps the first.

    The result is kept, because the search reads the metadata of every installed package.
    """
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, point)
    return found


def _import_function(function: str) -> Callable[..., Any]:
    module, _, path = function.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise UnusableFunction("it cannot be called")
    return found  # type: ignore[no-any-return]


def _describe(exc: BaseException) -> str:
    """Says why an import failed. The text of most exceptions is left out, because it may contain anything."""
    if isinstance(exc, ImportError | AttributeError):
        return str(exc).splitlines()[0]
    return type(exc).__name__
