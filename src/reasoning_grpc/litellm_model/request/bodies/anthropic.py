"""Writes the conversation and the tools of a call in Anthropic's protocol.

litellm would put texts before tool calls, invent tools and texts, strip blanks, and download documents; it leaves out
descriptions of schemas, and writes their references in a wrong way. So it gets no conversation, and what is written
here takes its place in the body that litellm has built.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.litellm_model.request.bodies.wire_rules import JSON_TOOL
from reasoning_grpc.litellm_model.request.dialects.claude.features import (
    SUMMARIZED,
    asks_for_summary,
    returns_bound_reasoning,
)
from reasoning_grpc.litellm_model.request.dialects.claude.models import describe_claude
from reasoning_grpc.litellm_model.request.dialects.schemas.output import write_output_schema
from reasoning_grpc.litellm_model.request.messages import ensure_object
from reasoning_grpc.litellm_model.request.tool_schemas import prepare_parameters
from reasoning_grpc.llm import ModelCall

Json = dict[str, Any]

_ROLES: Final = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "user"}
_CHARACTER_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")


def write_members(call: ModelCall, deployment: Deployment) -> Json:
    """Returns the members of the body that hold the conversation and the tools."""
    tools = list(map(_write_tool, call.tools)) or _write_format_tool(call.response_format, deployment)
    members: Json = {"messages": []} | ({"tools": tools} if tools else {})
    system: list[Json] = []
    for message in call.messages:
        blocks = list(_write_blocks(message.content))
        role = _ROLES[message.role]
        if role == "system" and not members["messages"]:
            system += blocks
        elif blocks and members["messages"] and members["messages"][-1]["role"] == role:
            members["messages"][-1]["content"] += blocks
        elif blocks:
            members["messages"].append({"role": role, "content": blocks})
    if deployment.system_prompt and not any(message.role is Role.SYSTEM for message in call.messages):
        system = [{"type": "text", "text": deployment.system_prompt}]
    if system:
        members["system"] = system
    if thinking := _write_thinking(call, deployment.deciding_model):
        members["thinking"] = thinking
    schema = _write_format(call.response_format, deployment)
    if schema is not None:
        members["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return members


def _write_tool(tool: Tool) -> Json:
    schema = prepare_parameters(json.loads(tool.parameters_schema or "{}"), "anthropic")
    block = {"name": tool.name, "input_schema": schema, "type": "custom"}
    return block | {"description": tool.description} if tool.description else block


def _write_thinking(call: ModelCall, model: str) -> Json:
    """Returns what a call says of the model's reasoning beside an effort or a budget; empty where that is nothing."""
    thinking: Json = {}
    if asks_for_summary(call, model):
        thinking = SUMMARIZED
    if returns_bound_reasoning(call, model):
        # Where the conversation has changed, such as by the agent, the reasoning is lost; else the request would fail.
        thinking = {"type": "adaptive", **thinking, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    return dict(thinking)


def _write_format(response_format: ResponseFormat | None, deployment: Deployment) -> Json | None:
    """Returns the schema to which the model holds its answer; None where there is none, or where it is a tool."""
    if response_format is None or response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return None
    if not describe_claude(deployment.deciding_model).writes_schemas:
        return None
    description = {"description": response_format.description} if response_format.description else {}
    schema: Json = write_output_schema(json.loads(response_format.schema))
    return description | schema


def _write_format_tool(response_format: ResponseFormat | None, deployment: Deployment) -> list[Json]:
    """Returns the tool by which a model that writes no schemas gets one; litellm forces the model to call it."""
    if response_format is None or response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return []
    if describe_claude(deployment.deciding_model).writes_schemas:
        return []
    schema = prepare_parameters(json.loads(response_format.schema), "anthropic")
    block = {"name": JSON_TOOL, "input_schema": schema}
    return [block | {"description": response_format.description} if response_format.description else block]


def _write_blocks(parts: Iterable[Part]) -> Iterator[Json]:
    for part in parts:
        block = _write_block(part)
        yield block | {"cache_control": {"type": "ephemeral"}} if part.cache else block


def _write_block(part: Part) -> Json:
    match part.content:
        case Text(text=text) | Refusal(text=text):  # the protocol has no block for a refusal
            return {"type": "text", "text": text}
        case Media():
            return _write_media(part.content)
        case Reasoning(redacted=redacted) if redacted:
            return {"type": "redacted_thinking", "data": redacted.decode()}
        case Reasoning(text=text):
            return {"type": "thinking", "thinking": text, "signature": part.signature}
        case ToolCall(id=call_id, name=name, arguments=arguments):
            arguments = json.loads(ensure_object(arguments))
            return {"type": "tool_use", "id": _write_id(call_id), "name": name, "input": arguments}
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            block = {"type": "tool_result", "tool_use_id": _write_id(call_id), "content": content}
            return block | {"is_error": True} if is_error else block


def _write_media(media: Media) -> Json:
    if media.mime_type.startswith("image/"):
        return {"type": "image", "source": _write_source(media)}
    block: Json = {"type": "document", "source": _write_source(media)}
    return block | {"title": media.filename} if media.filename else block


def _write_source(media: Media) -> Json:
    if media.uri:
        return {"type": "url", "url": media.uri}
    if media.mime_type.startswith("text/"):
        return {"type": "text", "media_type": media.mime_type, "data": media.data.decode()}
    return {"type": "base64", "media_type": media.mime_type, "data": base64.b64encode(media.data).decode()}


def _write_id(call_id: str) -> str:
    """Returns the id of a call in the provider's characters; different ids stay different."""
    written = _CHARACTER_NOT_IN_IDS.sub("_", call_id)
    return written if written == call_id else f"{written}_{sha256(call_id.encode()).hexdigest()[:8]}"
