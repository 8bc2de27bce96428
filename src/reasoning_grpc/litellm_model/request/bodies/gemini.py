"""Writes the conversation and the tools of a call in Gemini's protocol.

litellm would leave out most of what schemas say, put reasoning and texts before calls, lose signatures, take results in
JSON for data, send one of two equal calls, and add texts. So it gets neither, and what is written here takes its place
in the body that litellm has built.
"""

import base64
from collections.abc import Iterator
from typing import Any, Final

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningOptions,
    Refusal,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request.dialects.google.models import (
    is_gemini_3,
    takes_json_schema,
    takes_system_messages,
)
from reasoning_grpc.litellm_model.request.dialects.google.schemas import declare_parameters, write_answer_schema
from reasoning_grpc.litellm_model.request.messages import read_arguments
from reasoning_grpc.llm import ModelCall

Json = dict[str, Any]

_ROLES: Final = {Role.SYSTEM: "user", Role.USER: "user", Role.ASSISTANT: "model", Role.TOOL: "user"}
_MIME_TYPES: Final = {"audio/mpeg": "audio/mp3", "audio/x-wav": "audio/wav", "image/jpg": "image/jpeg"}
"""The provider's names of MIME types with several names."""
_UNKNOWN_SIGNATURE: Final = base64.b64encode(b"skip_thought_signature_validator").decode()
"""Stands for the signature of a call that another model made. Source: Google's documentation of thought signatures."""


def write_gemini_body(call: ModelCall, deployment: Deployment) -> Json:
    """Returns the members of the body that hold the conversation, the tools and the schema of the answer."""
    model = deployment.deciding_model
    writer = _TurnWriter(call, has_ids=is_gemini_3(model))
    system = [part for message in call.messages if message.role is Role.SYSTEM for part in message.content]
    texts = [part.content.text for part in system if isinstance(part.content, Text)]
    if not system and deployment.system_prompt:
        texts = [deployment.system_prompt]
    parts = [{"text": text} for text in texts]
    has_place = takes_system_messages(model)
    if parts and not has_place and not system:
        writer.contents.append({"role": "user", "parts": parts})
    for message in call.messages:
        if message.role is not Role.SYSTEM or not has_place:
            writer.add(message)
    members: Json = {"contents": writer.contents}
    if parts and has_place:
        members["system_instruction"] = {"parts": parts}
    if call.tools:
        members["tools"] = [{"function_declarations": list(map(_declare, call.tools))}]
    config: Json = {}
    if call.response_format is not None and call.response_format.kind is ResponseFormatKind.JSON_SCHEMA:
        as_json_schema = takes_json_schema(model)
        schema = write_answer_schema(call.response_format, as_json_schema=as_json_schema)
        config["response_json_schema" if as_json_schema else "response_schema"] = schema
    if call.include_reasoning and call.reasoning == ReasoningOptions() and library.has_reasoning(model):
        config["thinkingConfig"] = {"includeThoughts": True}  # with an effort or a budget, litellm asks for thoughts
    return members | ({"generationConfig": config} if config else {})


class _TurnWriter:
    """Writes messages as turns; successive messages of one side are one turn, and results have a turn of their own."""

    def __init__(self, call: ModelCall, *, has_ids: bool) -> None:
        """`has_ids` says whether the model takes the ids of calls, and requires signatures of them."""
        self.contents: list[Json] = []
        self._has_ids = has_ids
        self._last_role: Role | None = None
        self._names = {made.id: made.name for message in call.messages for made in _list_calls(message)}

    def add(self, message: Message) -> None:
        """Writes a message. One without content is left out."""
        parts = [written for part in message.content for written in self._write(part)]
        if not parts:
            return
        role = Role.USER if message.role is Role.SYSTEM else message.role
        if role is not self._last_role:
            self.contents.append({"role": _ROLES[role], "parts": []})
            self._last_role = role
        turn = self.contents[-1]["parts"]
        first_call = next((part for part in parts if "function_call" in part), None)
        if self._has_ids and first_call is not None and not any("function_call" in part for part in turn):
            first_call.setdefault("thoughtSignature", _UNKNOWN_SIGNATURE)
        turn += parts

    def _write(self, part: Part) -> Iterator[Json]:
        signature = {"thoughtSignature": part.signature} if part.signature else {}
        match part.content:
            case Text(text=text) if text or signature:
                yield {"text": text} | signature
            case Refusal(text=text):  # the protocol has no part for a refusal
                yield {"text": text}
            case Media(mime_type=mime_type, data=data):
                encoded = base64.b64encode(data).decode()
                yield {"inline_data": {"data": encoded, "mime_type": _MIME_TYPES.get(mime_type, mime_type)}}
            case Reasoning(text=text, redacted=redacted) if not redacted:
                yield {"thought": True, "text": text}
            case ToolCall(id=call_id, name=name, arguments=arguments):
                made = {"name": name, "args": read_arguments(arguments)} | self._write_id(call_id)
                yield {"function_call": made} | signature
            case ToolResult() as result:
                text = f"Error: {result.content}" if result.is_error else result.content
                response = {"name": self._names[result.call_id], "response": {"content": text}}
                yield {"function_response": response | self._write_id(result.call_id)}
            case _:
                pass

    def _write_id(self, call_id: str) -> Json:
        return {"id": call_id} if self._has_ids else {}


def _list_calls(message: Message) -> list[ToolCall]:
    return [part.content for part in message.content if isinstance(part.content, ToolCall)]


def _declare(tool: Tool) -> Json:
    description = {"description": tool.description} if tool.description else {}
    return {"name": tool.name} | description | declare_parameters(tool).members
