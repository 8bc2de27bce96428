"""Converts the messages of a conversation, in both directions."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from reasoning_grpc.domain import (
    Continuation,
    Media,
    Message,
    Part,
    PartContent,
    PausedRun,
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
    Role.ASSISTANT: frozenset({"text", "reasoning", "tool_call", "refusal", "paused_run"}),
    Role.TOOL: frozenset({"tool_result"}),
}
_MIME_TYPE: Final = re.compile(r"(image|audio|application|text)/[a-zA-Z0-9][a-zA-Z0-9.+-]{0,63}")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{0,64}")
_MAX_ID_CHARACTERS: Final = 4096
"""The most characters of a call id. It is large because litellm hides Gemini's signatures in ids."""


def conversation(messages: Sequence[messages_pb2.Message], checks: Checks) -> tuple[Message, ...]:
    """Returns the messages of a request, and reports what is wrong with them to `checks`."""
    if not messages:
        checks.report_invalid("messages", "At least one message is required.")
    if not checks.check_count("messages", len(messages), checks.caps.messages):
        return ()
    parts = 0
    converted: list[Message] = []
    for index, message in enumerate(messages):
        content = message.content
        parts += len(content)
        if parts > checks.caps.parts:
            checks.report_too_large("messages", f"They have more than {checks.caps.parts} parts, which is the limit.")
            return ()
        if (valid := _message(message, content, index, checks)) is not None:
            converted.append(valid)
    return tuple(converted)


def write_message(target: messages_pb2.Message, message: Message) -> None:
    """Writes the message of a response."""
    target.role = enums.ROLE.to_proto[message.role]
    target.name = message.name
    for part in message.content:
        _write_part(target.content.add(), part)


def write_paused_run(target: messages_pb2.PausedRun, paused_run: PausedRun) -> None:
    """Writes a run that waits for the caller."""
    target.state = paused_run.state
    target.approval_call_ids.extend(paused_run.approval_call_ids)
    target.expire_time.FromDatetime(paused_run.expire_time)


def find_continuation(messages: Sequence[Message], checks: Checks) -> Continuation | None:
    """Returns the paused run that a request continues: nothing follows it but results of tool calls."""
    paused_run = checks.paused_run
    if paused_run is None or any(message.role is not Role.TOOL for message in messages[paused_run.message + 1 :]):
        return None
    return paused_run


def _message(
    message: messages_pb2.Message, content: Sequence[messages_pb2.Part], index: int, checks: Checks
) -> Message | None:
    """Returns the message. Its path is written only where it is reported, as that of each of its parts is."""
    name = message.name
    if name:
        checks.check_pattern(
            f"messages[{index}].name", name, _NAME, "It must be up to 64 of letters, digits, underscore and dash."
        )
    number = message.role
    role = enums.ROLE.from_proto.get(number)
    if role is None:
        checks.report_invalid(f"messages[{index}].role", "It is not a known value." if number else "It is required.")
    if not content and role is not Role.ASSISTANT:  # the model may have given an empty answer
        checks.report_invalid(f"messages[{index}].content", "At least one part is required.")
    parts: list[Part] = []
    for position, part in enumerate(content):
        if (valid := _part(part, role, index, position, checks)) is not None:
            parts.append(valid)
    return None if role is None else Message(role, tuple(parts), name)


def _part(part: messages_pb2.Part, role: Role | None, index: int, position: int, checks: Checks) -> Part | None:
    kind = part.WhichOneof("kind")
    if kind is None:
        checks.report_invalid(f"messages[{index}].content[{position}]", "It must hold a content.")
        return None
    if role is not None and kind not in _PARTS_OF_ROLE[role]:
        accepted = ", ".join(sorted(_PARTS_OF_ROLE[role]))
        checks.report_invalid(
            f"messages[{index}].content[{position}].{kind}", f"A message of the role {role} takes {accepted}."
        )
        return None
    signature = part.signature
    if kind == "text":
        text = part.text
        if not text and not signature:
            checks.report_invalid(f"messages[{index}].content[{position}].text", "It must not be empty.")
        return Part(Text(text), signature, part.cache)
    if kind == "paused_run":
        checks.record_paused_run(part.paused_run.state, index, position)
        return None  # no model receives it
    content = _content(part, kind, f"messages[{index}].content[{position}].{kind}", checks)
    return Part(content, signature, part.cache)


def _content(part: messages_pb2.Part, kind: str, path: str, checks: Checks) -> PartContent:
    """Returns the content of a part that is no text."""
    match kind:
        case "media":
            return _media(part.media, path, checks)
        case "reasoning":
            if part.reasoning.WhichOneof("form") is None:
                checks.report_invalid(path, "It must hold a text, or redacted reasoning.")
            try:
                part.reasoning.redacted.decode()
            except UnicodeDecodeError:
                checks.report_invalid(f"{path}.redacted", "It must be as an earlier answer returned it.")
            return Reasoning(part.reasoning.text, part.reasoning.redacted)
        case "tool_call":
            call = part.tool_call
            checks.check_text(f"{path}.id", call.id, _MAX_ID_CHARACTERS, required=True)
            checks.check_text(f"{path}.name", call.name, 256, required=True)
            return ToolCall(call.id, call.name, call.arguments)
        case "tool_result":
            result = part.tool_result
            checks.check_text(f"{path}.call_id", result.call_id, _MAX_ID_CHARACTERS, required=True)
            return ToolResult(result.call_id, result.content, result.is_error)
        case _:
            if not part.refusal:
                checks.report_invalid(path, "It must not be empty.")
            return Refusal(part.refusal)


def _media(media: messages_pb2.Media, path: str, checks: Checks) -> Media:
    checks.check_pattern(
        f"{path}.mime_type", media.mime_type, _MIME_TYPE, "It must be a type of image, audio, application or text."
    )
    checks.check_text(f"{path}.filename", media.filename, 256)
    match media.WhichOneof("source"):
        case "uri" if not media.mime_type.startswith("image/"):
            checks.report_invalid(f"{path}.uri", "Only images may be given by URI; send the data instead.")
        case "uri":
            checks.check_text(f"{path}.uri", media.uri, 8192)
            if not re.fullmatch(r"https://[!-~]+", media.uri):
                checks.report_invalid(f"{path}.uri", "It must be an https URI.")
        case "data" if not media.data:
            checks.report_invalid(f"{path}.data", "It must not be empty.")
        case "data":
            checks.check_media_size(f"{path}.data", len(media.data))
        case _:
            checks.report_invalid(path, "It must hold a URI or data.")
    return Media(media.mime_type, media.uri, media.data, media.filename)


def _write_part(target: messages_pb2.Part, part: Part) -> None:
    if part.signature:
        target.signature = part.signature
    if part.cache:
        target.cache = True
    match part.content:
        case Text(text=text):
            target.text = text
        case Refusal(text=text):
            target.refusal = text
        case Reasoning(redacted=redacted) if redacted:
            target.reasoning.redacted = redacted
        case Reasoning(text=text):
            target.reasoning.text = text
        case ToolCall(id=call_id, name=name, arguments=arguments):
            target.tool_call.id = call_id
            target.tool_call.name = name
            target.tool_call.arguments = arguments
        case ToolResult(call_id=call_id, content=content, is_error=is_error):
            target.tool_result.call_id = call_id
            target.tool_result.content = content
            target.tool_result.is_error = is_error
        case Media(mime_type=mime_type, uri=uri, data=data, filename=filename):
            target.media.mime_type = mime_type
            target.media.filename = filename
            if uri:
                target.media.uri = uri
            else:
                target.media.data = data
