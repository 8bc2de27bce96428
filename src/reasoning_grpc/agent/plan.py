"""`Plan`: what the model wants to do next, and the JSON schema in which it says so."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from reasoning_grpc.domain import NextAction, ToolCall, ToolInfo
from reasoning_grpc.llm.structured import BOOLEAN, STRING, Schema, array_of, object_of, one_of

_ACTIONS: Final = {action.value.lower(): action for action in NextAction}


class Plan(Struct, frozen=True):
    """One step as the model plans it."""

    thought: str
    next_action: NextAction
    tool_calls: tuple[ToolCall, ...] = ()
    """Empty unless the action is USE_TOOLS."""
    concurrent: bool = False


def plan_schema(tools: Sequence[ToolInfo]) -> Schema[Plan]:
    """Returns the schema of a plan that may use these tools. Its tool calls have no ids."""
    if not tools:
        return Schema(
            "plan", object_of(thought=STRING, next_action=one_of(("continue", "finish"))), _parse_without_tools
        )
    call = object_of(name=one_of(tool.name for tool in tools), arguments=STRING)
    shape = object_of(thought=STRING, next_action=one_of(_ACTIONS), tool_calls=array_of(call), concurrent=BOOLEAN)
    schemas = {tool.name: tool.parameters_schema for tool in tools}
    return Schema("plan", shape, lambda value: _parse_with_tools(value, schemas))


def _parse_without_tools(value: Mapping[str, Any]) -> Plan:
    return Plan(value["thought"], _ACTIONS[value["next_action"]])


def _parse_with_tools(value: Mapping[str, Any], schemas: Mapping[str, str]) -> Plan:
    action = _ACTIONS[value["next_action"]]
    calls = tuple(
        ToolCall("", call["name"], _complete_arguments(call["arguments"], schemas[call["name"]]))
        for call in value["tool_calls"]
    )
    if action is NextAction.FINISH or not calls:
        return Plan(value["thought"], NextAction.CONTINUE if action is NextAction.USE_TOOLS else action)
    return Plan(value["thought"], NextAction.USE_TOOLS, calls, value["concurrent"])


def _complete_arguments(text: str, schema: str) -> str:
    """Returns the arguments as the model wrote them, with one exception.

    Small models write the bare value where the schema wants an object with one member. If the tool has a single
    argument of type string, text that is not JSON becomes its value.
    """
    try:
        json.loads(text)
        return text
    except (ValueError, RecursionError):
        if text.lstrip().startswith("{"):  # an object after all, but a broken one
            return text
        known: Any = json.loads(schema) if schema else {}
    match known.get("properties"):
        case dict() as members if [each.get("type") for each in members.values()] == ["string"]:
            return json.dumps(dict.fromkeys(members, text), ensure_ascii=False)
        case _:
            return text
