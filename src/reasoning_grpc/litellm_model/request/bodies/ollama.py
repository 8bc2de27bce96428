"""Writes the body of a call in Ollama's protocol.

litellm would join texts without a break, leave out media and the choice of a tool, send the id of a call in the place
of the tool's name, and send a penalty for frequency as one for repetition. So it gets nothing but the model. What is
written here takes its place in the body that litellm has built.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Reasoning,
    ReasoningEffort,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.litellm_model.request.dialects.amounts import describe_amounts
from reasoning_grpc.litellm_model.request.messages import read_arguments
from reasoning_grpc.litellm_model.request.tool_schemas import prepare_parameters
from reasoning_grpc.llm import ModelCall

Json = dict[str, Any]

_BREAK: Final = "\n\n"
"""Stands between the texts of a message, which has one place for all of them."""


def write_ollama_body(call: ModelCall, deployment: Deployment) -> Json:
    """Returns the members of the body, but for the model's name."""
    names = {made.id: made.name for message in call.messages for made in _list(message, ToolCall)}
    messages = [written for message in call.messages for written in _write_message(message, names)]
    if deployment.system_prompt and not any(message.role is Role.SYSTEM for message in call.messages):
        messages.insert(0, {"role": "system", "content": deployment.system_prompt})
    members: Json = {"messages": messages, "options": _write_options(call.sampling)}
    if call.tools:
        members["tools"] = list(map(_write_tool, call.tools))
    if call.response_format is not None and call.response_format.kind is not ResponseFormatKind.TEXT:
        members["format"] = _write_format(call.response_format)
    if call.reasoning.effort is not None:
        members["think"] = _write_effort(call.reasoning.effort, deployment.deciding_model)
    return members


def _write_message(message: Message, names: dict[str, str]) -> Iterator[Json]:
    """Yields the message, or its results of tools; nothing where it has no content."""
    for result in _list(message, ToolResult):
        content = f"Error: {result.content}" if result.is_error else result.content
        tool = names[result.call_id]
        yield {"role": "tool", "content": content, "tool_name": tool, "tool_call_id": result.call_id}
    if message.role is Role.TOOL:
        return
    texts = [part.text for part in _list(message, Text | Refusal) if part.text]  # there is no place for a refusal
    written: Json = {"role": message.role.value.lower(), "content": _BREAK.join(texts)}
    if reasoning := [part.text for part in _list(message, Reasoning) if part.text]:
        written["thinking"] = _BREAK.join(reasoning)
    if images := [base64.b64encode(part.data).decode() for part in _list(message, Media)]:
        written["images"] = images
    if calls := list(map(_write_call, _list(message, ToolCall))):
        written["tool_calls"] = calls
    if texts or len(written) > len(("role", "content")):
        yield written


def _list(message: Message, kind: Any) -> list[Any]:
    """Returns the contents of these kinds."""
    return [part.content for part in message.content if isinstance(part.content, kind)]


def _write_call(call: ToolCall) -> Json:
    return {"id": call.id, "function": {"name": call.name, "arguments": read_arguments(call.arguments)}}


def _write_tool(tool: Tool) -> Json:
    description = {"description": tool.description} if tool.description else {}
    parameters = prepare_parameters(json.loads(tool.parameters_schema or "{}"), "ollama_chat")
    return {"type": "function", "function": {"name": tool.name} | description | {"parameters": parameters}}


def _write_options(sampling: Sampling) -> Json:
    options = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "num_predict": sampling.max_output_tokens,
        "stop": list(sampling.stop_sequences) or None,
        "seed": sampling.seed,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
    }
    return {name: value for name, value in options.items() if value is not None}


def _write_format(response_format: ResponseFormat) -> Any:
    if response_format.kind is ResponseFormatKind.JSON_OBJECT:
        return "json"
    description = {"description": response_format.description} if response_format.description else {}
    return description | json.loads(response_format.schema)


def _write_effort(effort: ReasoningEffort, model: str) -> bool | str:
    is_switch = describe_amounts(model).is_switch
    return effort is not ReasoningEffort.NONE if is_switch else effort.value.lower()
