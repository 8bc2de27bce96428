"""`Plan`: what the model wants to do next, as it is asked for in JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reasoning_grpc.domain import NextAction, ToolCall, ToolInfo
from reasoning_grpc.llm.structured import BOOLEAN, STRING, Schema, array_of, object_of, one_of

_ACTIONS: Final = {action.value.lower(): action for action in NextAction}


@dataclass(frozen=True, slots=True)
class Plan:
    """A thought, and what follows from it."""

    thought: str
    next_action: NextAction
    tool_calls: tuple[ToolCall, ...] = ()
    """None unless the action is USE_TOOLS."""
    concurrent: bool = False


def plan_schema(tools: Sequence[ToolInfo], step: int) -> Schema[Plan]:
    """What a plan must look like when these tools are there; the step's number goes into the ids of its calls."""
    if not tools:
        return Schema("plan", object_of(thought=STRING, next_action=one_of(("continue", "finish"))), _plain)
    call = object_of(name=one_of(tool.name for tool in tools), arguments=STRING)
    shape = object_of(thought=STRING, next_action=one_of(_ACTIONS), tool_calls=array_of(call), concurrent=BOOLEAN)
    schemas = {tool.name: tool.parameters_schema for tool in tools}
    return Schema("plan", shape, lambda value: _with_tools(value, schemas, step))


def _plain(value: Mapping[str, Any]) -> Plan:
    return Plan(value["thought"], _ACTIONS[value["next_action"]])


def _with_tools(value: Mapping[str, Any], schemas: Mapping[str, str], step: int) -> Plan:
    action = _ACTIONS[value["next_action"]]
    calls = tuple(
        ToolCall(f"call_{step}_{number}", call["name"], _arguments(call["arguments"], schemas[call["name"]]))
        for number, call in enumerate(value["tool_calls"], 1)
    )
    if action is NextAction.FINISH or not calls:
        return Plan(value["thought"], NextAction.CONTINUE if action is NextAction.USE_TOOLS else action)
    return Plan(value["thought"], NextAction.USE_TOOLS, calls, value["concurrent"])


def _arguments(text: str, schema: str) -> str:
    """The arguments as the model wrote them; what is no JSON is the value of a tool's only argument, if that is a text.

    Small models write the value itself where an object with the one member was asked for.
    """
    try:
        json.loads(text)
        return text
    except ValueError:
        if text.lstrip().startswith("{"):  # an object after all, but a broken one
            return text
        known: Any = json.loads(schema) if schema else {}
    match known.get("properties"):
        case dict() as members if [each.get("type") for each in members.values()] == ["string"]:
            return json.dumps(dict.fromkeys(members, text), ensure_ascii=False)
        case _:
            return text
