"""Messages of a conversation, both directions."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from reasoning_grpc.domain import (
    Media,
    Message,
    Part,
    PartContent,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.checks import Checks
from reasoning_grpc.v1 import messages_pb2

_PARTS_OF_ROLE: Final[Mapping[Role, frozenset[str]]] = {
    Role.SYSTEM: frozenset({"text"}),
    Role.USER: frozenset({"text", "media"}),
    Role.ASSISTANT: frozenset({"text", "reasoning", "tool_call", "refusal"}),
    Role.TOOL: frozenset({"tool_result"}),
}
_MIME_TYPE: Final = re.compile(r"(image|audio|application|text)/[a-zA-Z0-9][a-zA-Z0-9.+-]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_LONGEST_ID: Final = 4096
"""Ids of calls can be long: litellm hides Gemini's signature in them."""


def conversation(messages: Sequence[messages_pb2.Message], most: int, checks: Checks) -> tuple[Message, ...]:
    """The messages of a request; what is wrong with them goes into `checks`."""
    if not messages:
        checks.invalid("messages", "At least one message is required.")
    if not checks.count("messages", len(messages), most):
        return ()
    found = [_message(message, f"messages[{index}]", checks) for index, message in enumerate(messages)]
    return tuple(message for message in found if message is not None)


def message_proto(message: Message) -> messages_pb2.Message:
    """The message, for a response."""
    return messages_pb2.Message(
        role=enums.ROLE.to_proto[message.role],
        content=[_part_proto(part) for part in message.content],
        name=message.name,
    )


def _message(message: messages_pb2.Message, path: str, checks: Checks) -> Message | None:
    checks.pattern(f"{path}.name", message.name, _NAME, "It must be up to 64 of letters, digits, underscore and dash.")
    role = enums.ROLE.from_proto.get(message.role)
    if role is None:
        checks.invalid(f"{path}.role", "It is not a known value." if message.role else "It is required.")
    if not message.content and role is not Role.ASSISTANT:  # the model may have answered nothing
        checks.invalid(f"{path}.content", "At least one part is required.")
    parts = [_part(part, f"{path}.content[{index}]", role, checks) for index, part in enumerate(message.content)]
    whole = [part for part in parts if part is not None]
    return None if role is None else Message(role, tuple(whole), message.name)


def _part(part: messages_pb2.Part, path: str, role: Role | None, checks: Checks) -> Part | None:
    kind = part.WhichOneof("kind")
    if kind is None:
        checks.invalid(path, "It must hold a content.")
        return None
    if role is not None and kind not in _PARTS_OF_ROLE[role]:
        taken = ", ".join(sorted(_PARTS_OF_ROLE[role]))
        checks.invalid(f"{path}.{kind}", f"A message of the role {role} takes {taken}.")
        return None
    return Part(_content(part, kind, f"{path}.{kind}", checks), part.signature, part.cache)


def _content(part: messages_pb2.Part, kind: str, path: str, checks: Checks) -> PartContent:
    match kind:
        case "text":
            if not part.text and not part.signature:
                checks.invalid(path, "It must not be empty.")
            return Text(part.text)
        case "media":
            return _media(part.media, path, checks)
        case "reasoning":
            if part.reasoning.WhichOneof("form") is None:
                checks.invalid(path, "It must hold a text, or redacted reasoning.")
            try:
                part.reasoning.redacted.decode()
            except UnicodeDecodeError:
                checks.invalid(f"{path}.redacted", "It must be as an earlier answer returned it.")
            return Reasoning(part.reasoning.text, part.reasoning.redacted)
        case "tool_call":
            call = part.tool_call
            checks.text(f"{path}.id", call.id, _LONGEST_ID, required=True)
            checks.text(f"{path}.name", call.name, 256, required=True)
            return ToolCall(call.id, call.name, call.arguments)
        case "tool_result":
            result = part.tool_result
            checks.text(f"{path}.call_id", result.call_id, _LONGEST_ID, required=True)
            return ToolResult(result.call_id, result.content, result.is_error)
        case _:
            if not part.refusal:
                checks.invalid(path, "It must not be empty.")
            return Refusal(part.refusal)


def _media(media: messages_pb2.Media, path: str, checks: Checks) -> Media:
    checks.pattern(
        f"{path}.mime_type", media.mime_type, _MIME_TYPE, "It must be of an image, audio, application or text."
    )
    checks.text(f"{path}.filename", media.filename, 256)
    match media.WhichOneof("source"):
        case "uri" if not media.mime_type.startswith("image/"):
            checks.invalid(f"{path}.uri", "Only images are taken by URI; give the data.")
        case "uri":
            checks.text(f"{path}.uri", media.uri, 8192)
            if not re.fullmatch(r"https://[!-~]+", media.uri):
                checks.invalid(f"{path}.uri", "It must be an https URI.")
        case "data" if not media.data:
            checks.invalid(f"{path}.data", "It must not be empty.")
        case "data":
            pass
        case _:
            checks.invalid(path, "It must hold a URI or data.")
    return Media(media.mime_type, media.uri, media.data, media.filename)


def _part_proto(part: Part) -> messages_pb2.Part:
    shown = messages_pb2.Part(signature=part.signature, cache=part.cache)
    match part.content:
        case Text(text=text):
            shown.text = text
        case Refusal(text=text):
            shown.refusal = text
        case Reasoning(text=text, redacted=redacted):
            if redacted:
                shown.reasoning.redacted = redacted
            else:
                shown.reasoning.text = text
        case ToolCall(id=call_id, name=name, arguments=arguments):
            shown.tool_call.CopyFrom(messages_pb2.ToolCall(id=call_id, name=name, arguments=arguments))
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            shown.tool_result.CopyFrom(messages_pb2.ToolResult(call_id=call_id, content=content, is_error=is_error))
        case Media(mime_type=mime_type, uri=uri, data=data, filename=filename):
            shown.media.CopyFrom(messages_pb2.Media(mime_type=mime_type, filename=filename))
            if uri:
                shown.media.uri = uri
            else:
                shown.media.data = data
    return shown
