"""Options of a request that the model receives: sampling, tools, response format and reasoning.

Each function converts a field that the request has, and reports in `checks` what is wrong with it.
"""

import math
from collections.abc import Mapping
from typing import Any, Final

from reasoning_grpc.domain import (
    ReasoningOptions,
    ResponseFormat,
    ResponseFormatKind,
    Sampling,
    Tool,
    ToolChoice,
)
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.checks import NAME, NAME_RULE, Checks
from reasoning_grpc.v1 import completion_pb2

_MAX_BIASES: Final = 1024
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (1, math.inf),
    "max_output_tokens": (1, math.inf),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
"""The least and the largest value of each number. The least one of `top_p` is not itself accepted."""


def sampling(message: completion_pb2.CompleteRequest, checks: Checks) -> Sampling:
    """Returns how the model chooses its tokens. Each field has the name of the attribute that it becomes."""
    options: dict[str, Any] = {field.name: value for field, value in message.sampling.ListFields()}
    if "stop_sequences" in options:
        options["stop_sequences"] = stop_sequences = tuple(options["stop_sequences"])
        if checks.check_count("sampling.stop_sequences", len(stop_sequences), checks.caps.stop_sequences):
            for index, stop_sequence in enumerate(stop_sequences):
                checks.check_text(f"sampling.stop_sequences[{index}]", stop_sequence, 256, required=True)
    if "logit_bias" in options:
        options["logit_bias"] = biases = dict(options["logit_bias"])
        if checks.check_count("sampling.logit_bias", len(biases), _MAX_BIASES):
            for token, bias in biases.items():
                checks.check_number(f"sampling.logit_bias[{token}]", bias, -100, 100)
    if "top_logprobs" in options:
        checks.check_number("sampling.top_logprobs", options["top_logprobs"], 0, 20)
        if not options.get("logprobs"):
            checks.report_invalid("sampling.top_logprobs", "It requires `logprobs` to be true.")
    for name, (minimum, maximum) in _RANGES.items():
        if name in options:
            checks.check_number(f"sampling.{name}", options[name], minimum, maximum, above_minimum=name == "top_p")
    return Sampling(**options)


def tools(message: completion_pb2.CompleteRequest, checks: Checks) -> tuple[Tool, ...]:
    """Returns the caller's own tools, whose names are unique; none when there are too many."""
    if not checks.check_count("tools", len(message.tools), checks.caps.tools):
        return ()
    seen: set[str] = set()
    for index, tool in enumerate(message.tools):
        path = f"tools[{index}]"
        checks.check_pattern(f"{path}.name", tool.name, NAME, NAME_RULE)
        if tool.name in seen:
            checks.report_invalid(f"{path}.name", "Another tool has this name.")
        seen.add(tool.name)
        if tool.parameters_schema:
            schema = checks.check_json(f"{path}.parameters_schema", tool.parameters_schema, want_object=True)
            if schema is not None and not _takes_objects(schema.get("type", "object")):
                checks.report_invalid(f"{path}.parameters_schema", "Its type must be object, as arguments are.")
    return tuple(
        Tool(tool.name, tool.description, tool.parameters_schema, tool.strict if tool.HasField("strict") else None)
        for tool in message.tools
    )


def _takes_objects(kind: Any) -> bool:
    """Whether the `type` of a JSON schema takes an object."""
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def tool_choice(message: completion_pb2.CompleteRequest, checks: Checks) -> ToolChoice | None:
    """Returns the rule for calling tools."""
    if not message.tools:
        checks.report_invalid("tool_choice", "It requires `tools`.")
    choice = message.tool_choice
    match choice.WhichOneof("choice"):
        case "mode":
            mode = checks.check_enum("tool_choice.mode", choice.mode, enums.TOOL_CHOICE_MODE.from_proto)
            return ToolChoice(mode=mode)
        case "tool":
            if message.tools and choice.tool not in {tool.name for tool in message.tools}:
                checks.report_invalid("tool_choice.tool", "It is not the name of one of `tools`.")
            return ToolChoice(tool=choice.tool)
        case _:
            checks.report_invalid("tool_choice", "It must hold a mode or a tool.")
            return None


def parallel_tool_calls(message: completion_pb2.CompleteRequest, checks: Checks) -> bool:
    """Returns whether the model may ask for several tool calls in one answer."""
    if not message.tools:
        checks.report_invalid("parallel_tool_calls", "It requires `tools`.")
    return message.parallel_tool_calls


def response_format(message: completion_pb2.CompleteRequest, checks: Checks) -> ResponseFormat | None:
    """Returns the format that the answer must have."""
    match message.response_format.WhichOneof("format"):
        case "text":
            return ResponseFormat(ResponseFormatKind.TEXT)
        case "json_object":
            return ResponseFormat(ResponseFormatKind.JSON_OBJECT)
        case "json_schema":
            schema = message.response_format.json_schema
            path = "response_format.json_schema"
            checks.check_pattern(f"{path}.name", schema.name, NAME, NAME_RULE)
            checks.check_json(f"{path}.schema", schema.schema, want_object=True)
            strict = schema.strict if schema.HasField("strict") else None
            return ResponseFormat(
                ResponseFormatKind.JSON_SCHEMA, schema.name, schema.schema, schema.description, strict
            )
        case _:
            checks.report_invalid("response_format", "It must hold a format.")
            return None


def reasoning_options(message: completion_pb2.CompleteRequest, checks: Checks) -> ReasoningOptions:
    """Returns how much the model itself reasons."""
    options = message.reasoning
    match options.WhichOneof("amount"):
        case "effort":
            effort = checks.check_enum("reasoning.effort", options.effort, enums.REASONING_EFFORT.from_proto)
            return ReasoningOptions(effort=effort)
        case "budget_tokens":
            checks.check_number("reasoning.budget_tokens", options.budget_tokens, 1)
            return ReasoningOptions(budget_tokens=options.budget_tokens)
        case _:
            return ReasoningOptions()
