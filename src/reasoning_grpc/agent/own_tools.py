"""The caller's own tools, which the agent may call beside the server's: the run pauses for their results."""

from collections.abc import Iterable, Iterator
from typing import Final

from reasoning_grpc.domain import CompletionRequest, Tool, ToolChoiceMode, ToolInfo, ToolSource
from reasoning_grpc.domain.errors import FieldViolation, InvalidRequest, UnsupportedParameter

_SAME_NAME: Final = "A tool of the server has this name; give yours another one, or leave that one out of the agent's."
_CHOICE: Final = "The agent takes only AUTO and NONE."


def select_own_tools(request: CompletionRequest) -> tuple[Tool, ...]:
    """Returns the tools of the request that the agent may call."""
    choice = request.tool_choice
    return () if choice is not None and choice.mode is ToolChoiceMode.NONE else request.tools


def describe_own_tools(tools: Iterable[Tool]) -> Iterator[ToolInfo]:
    """Yields the tools as the agent's prompts and plans have them."""
    for tool in tools:
        yield ToolInfo(
            name=tool.name,
            description=tool.description,
            parameters_schema=tool.parameters_schema,
            source=ToolSource.CALLER,
        )


def check_own_tools(request: CompletionRequest, offered: Iterable[ToolInfo]) -> None:
    """Refuses tools that have the name of one of the server's, and a choice that the agent cannot follow.

    Raises InvalidRequest and UnsupportedParameter.
    """
    choice = request.tool_choice
    if choice is not None and choice.mode not in {ToolChoiceMode.AUTO, ToolChoiceMode.NONE}:
        raise UnsupportedParameter(violations=(FieldViolation("tool_choice", _CHOICE),))
    taken = {tool.name for tool in offered}
    own = select_own_tools(request)
    same = tuple(FieldViolation(f"tools[{row}].name", _SAME_NAME) for row, tool in enumerate(own) if tool.name in taken)
    if same:
        raise InvalidRequest(violations=same)
