"""`GeminiResponse`: one response of an answer of Google's Gemini API, with the types that its members must have.

Nearly all events have these types, and msgspec decodes them at once. The others are converted member by member.
"""

import json
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from reasoning_grpc.litellm_model.answers.choices import select_choice
from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer
from reasoning_grpc.litellm_model.answers.json_events import decode_event
from reasoning_grpc.litellm_model.answers.reported_errors import ErrorEvent, decode_part, read_choice
from reasoning_grpc.litellm_model.lenient import Json, read_object, read_text


class FunctionCall(Struct):
    """A call of one of the caller's tools, which is whole."""

    name: str
    args: dict[str, Any] | None = None
    id: str | None = None


class InlineData(Struct, rename="camel"):
    """A file in base64."""

    mime_type: str = ""
    data: str = ""


class GeminiPart(Struct, rename="camel"):
    """A part of the content, which has one kind of content, or none."""

    text: str | None = None
    thought: bool | None = None
    """Whether the text is reasoning."""
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: InlineData | None = None
    # Content that is neither for the caller to run nor a text of the answer:
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None
    function_response: Any = None
    file_data: Any = None

    @property
    def has_content(self) -> bool:
        """Whether the part brings more than an empty text."""
        if self.text or self.function_call or self.inline_data or self.executable_code or self.code_execution_result:
            return True
        return bool(self.tool_call or self.tool_response or self.function_response or self.file_data)


class Content(Struct):
    """The content of a candidate."""

    parts: list[GeminiPart] | None = None


class Candidate(Struct, rename="camel"):
    """One of several answers; we never ask for more than one."""

    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs_result: Any = None
    error: None = None

    @property
    def parts(self) -> list[GeminiPart]:
        """The parts of the content; empty where there is none."""
        return (self.content.parts or []) if self.content is not None else []


class PromptFeedback(Struct, rename="camel"):
    """What Google says of the prompt."""

    block_reason: str | None = None
    """Why there is no candidate."""


class GeminiResponse(Struct, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate]
    usage_metadata: Raw = Raw()
    """The tokens that Google has counted so far, in JSON: of all these objects, hardly any is read."""
    response_id: str | None = None
    prompt_feedback: PromptFeedback | None = None

    @property
    def block_reason(self) -> str | None:
        """Why there is no candidate."""
        return None if self.prompt_feedback is None else self.prompt_feedback.block_reason

    def find_candidate(self) -> Candidate | None:
        """Returns the candidate that is the answer; None where the response has none."""
        for candidate in self.candidates:
            if not candidate.index:
                return candidate
        return None


class _PlainResponse(GeminiResponse):
    """A response with candidates, and without any member that an error may have."""

    candidates: Annotated[list[Candidate], Meta(min_length=1)]
    error: None = None
    choices: None = None
    type: None = None
    object: None = None


_DECODER: Final = msgspec.json.Decoder(_PlainResponse)


def decode_response(event: bytes) -> GeminiResponse:
    """Returns the response in one event. Raises MalformedAnswer and ErrorInAnswer."""
    if not isinstance(event, ErrorEvent):
        try:
            if not event.isascii():
                event.decode()  # msgspec does not check the text of members that it skips
            return _DECODER.decode(event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # perhaps a response with members of other types, or an error
    return _convert_response(decode_part(event))


def decode_responses(body: bytes) -> list[GeminiResponse]:
    """Returns the responses in a body, which is one, or a list of them. Raises MalformedAnswer and ErrorInAnswer."""
    decoded = decode_event(body)
    return list(map(_convert_response, decoded if isinstance(decoded, list) else [decoded]))


def _convert_response(answer: object) -> GeminiResponse:
    if not isinstance(answer, dict):
        raise MalformedAnswer("an event is not an object")
    read_choice(answer)  # raises the error that the response may report
    block_reason = read_text(read_object(answer.get("promptFeedback")).get("blockReason"))
    if not block_reason and not answer.keys() & {"candidates", "usageMetadata"}:
        raise MalformedAnswer("an event has no candidates")
    candidate = select_choice(answer.get("candidates"))
    usage = read_object(answer.get("usageMetadata"))
    return GeminiResponse(
        candidates=[] if candidate is None else [_convert_candidate(candidate)],
        usage_metadata=Raw(json.dumps(usage).encode()) if usage else Raw(),
        response_id=read_text(answer.get("responseId")),
        prompt_feedback=PromptFeedback(block_reason),
    )


def _convert_candidate(candidate: Json) -> Candidate:
    content: Json = _check_type(candidate.get("content"), dict) or {}
    parts: list[object] = _check_type(content.get("parts"), list) or []
    return Candidate(
        content=Content(list(map(_convert_part, parts))),
        finish_reason=read_text(candidate.get("finishReason")),
        logprobs_result=candidate.get("logprobsResult"),
    )


def _convert_part(part: object) -> GeminiPart:
    if not isinstance(part, dict):
        raise MalformedAnswer("a part is not an object")
    text, data = part.get("text"), read_object(part.get("inlineData"))
    if not isinstance(text, str | None):
        raise MalformedAnswer("a text has another type")
    return GeminiPart(
        text=text,
        thought=part.get("thought") is True,
        thought_signature=read_text(part.get("thoughtSignature")),
        function_call=_convert_call(_check_type(part.get("functionCall"), dict)),
        inline_data=InlineData(read_text(data.get("mimeType")), read_text(data.get("data"))) if data else None,
        executable_code=part.get("executableCode"),
        code_execution_result=part.get("codeExecutionResult"),
        tool_call=part.get("toolCall"),
        tool_response=part.get("toolResponse"),
        function_response=part.get("functionResponse"),
        file_data=part.get("fileData"),
    )


def _convert_call(call: Json | None) -> FunctionCall | None:
    if call is None:
        return None
    arguments = call.get("args")
    if isinstance(arguments, str) and arguments:  # some servers write JSON text
        arguments = decode_event(arguments.encode())
    arguments = _check_type(arguments, dict)
    return FunctionCall(read_text(call.get("name")), arguments or {}, read_text(call.get("id")))


def _check_type(value: Any, wanted: type) -> Any:
    """Returns the value, which may be missing. Raises MalformedAnswer if it has content of another type."""
    if value and not isinstance(value, wanted):
        raise MalformedAnswer("the content of a candidate has another form")
    return value if isinstance(value, wanted) else None
