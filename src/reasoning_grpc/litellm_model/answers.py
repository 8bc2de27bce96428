"""The JSON of an answer, whatever its shape -> our deltas.

Every optional field may be missing, null or of another type. Such a field counts as
absent, with one exception: where text of the answer would be lost, the answer is
malformed. Both forms are read: chunks with a `delta`, and a whole `message`.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from reasoning_grpc.domain import FinishReason, Usage, UsageSource, estimated_tokens, text_bytes
from reasoning_grpc.domain.events import (
    AlternativeToken,
    ContentDelta,
    Delta,
    ReasoningDelta,
    TokenLogprob,
    ToolCallDelta,
)

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "eos_token": FinishReason.STOP,
    "complete": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "max_output_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "sensitive": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.CONTENT_FILTER,
    "recitation": FinishReason.CONTENT_FILTER,
    "blocklist": FinishReason.CONTENT_FILTER,
    "prohibited_content": FinishReason.CONTENT_FILTER,
    "spii": FinishReason.CONTENT_FILTER,
    "image_safety": FinishReason.CONTENT_FILTER,
    "image_prohibited_content": FinishReason.CONTENT_FILTER,
    "image_recitation": FinishReason.CONTENT_FILTER,
    "model_armor": FinishReason.CONTENT_FILTER,
    "jailbreak": FinishReason.CONTENT_FILTER,
    "content_filtered": FinishReason.CONTENT_FILTER,
    "guardrail_intervened": FinishReason.CONTENT_FILTER,
}
"""The providers' words for why an answer ended, in lower case. An unknown word is OTHER."""

FAILED_FINISH_REASONS: Final[Mapping[str, int]] = {
    "error": 500,
    "abort": 500,
    "aborted": 500,
    "cancelled": 500,
    "canceled": 500,
    "network_error": 500,
    "insufficient_system_resource": 503,
}
"""Words that say the upstream failed in mid-answer, with the HTTP status they amount to."""


_REASONING_FIELDS: Final = frozenset({"reasoning_content", "reasoning", "thinking_blocks", "reasoning_details"})
_CALL_FIELDS: Final = frozenset({"tool_calls", "function_call"})


class MalformedAnswer(ValueError):
    """The answer is not one of the OpenAI dialect."""


class ErrorInAnswer(Exception):
    """The upstream reported an error inside an answer; never shown, only read by `failures`."""

    def __init__(self, error: object) -> None:
        super().__init__("an error inside the answer")
        self.error = error


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose pieces are arriving."""

    id: str
    index: int
    wire_index: int | None
    wire_id: str
    named: bool = False


@dataclass(slots=True)
class AnswerReader:
    """Reads the JSON events of one answer, in order."""

    finish_reason: FinishReason | None = None
    provider_finish_reason: str = ""
    saw_anything: bool = False
    """Whether any choice came, so that the answer is more than nothing."""
    _usage: Mapping[str, Any] = field(default_factory=dict)
    _calls: list[_OpenCall] = field(default_factory=list)
    _output_bytes: int = 0

    def read(self, event: bytes) -> list[Delta]:
        """The deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""
        return self.read_answer(decoded_event(event))

    def read_answer(self, answer: object) -> list[Delta]:
        """The deltas of one event whose JSON is decoded. Raises MalformedAnswer and ErrorInAnswer."""
        if not isinstance(answer, dict):
            raise MalformedAnswer("an event is no object")
        if answer.get("error"):
            raise ErrorInAnswer(answer["error"])
        choices = answer.get("choices")
        if choices is None and not answer.keys() & {"choices", "usage"}:
            raise MalformedAnswer("an event has no choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if usage := reported_usage(answer, choice):
            self._usage = {**self._usage, **usage}
        if not isinstance(choice, dict):
            return []
        delta = choice.get("delta")
        if not delta and not self.saw_anything:
            delta = choice.get("message")  # later on it would be all that was said so far, as some servers repeat it
        deltas = self._deltas(delta, choice) if isinstance(delta, dict) else []
        if word := choice.get("finish_reason"):
            self._note_finish(word)
        if deltas or self.finish_reason is not None:
            self.saw_anything = True
        return deltas

    @property
    def has_usage(self) -> bool:
        """Whether there is anything to count: a piece of the answer, or the upstream's own numbers."""
        return self.saw_anything or bool(self._usage)

    def usage(self, estimated_prompt_tokens: int) -> Usage:
        """The upstream's count, with what it left out filled in by an estimate."""
        found = _counts(self._usage)
        input_tokens, output_tokens, total = found["input"], found["output"], found["total"]
        if total is not None and input_tokens is None and output_tokens is not None:
            input_tokens = max(0, total - output_tokens)
        elif total is not None and output_tokens is None and input_tokens is not None:
            output_tokens = max(0, total - input_tokens)
        beside = found["reasoning"] or 0
        if input_tokens is not None and output_tokens is not None and total == input_tokens + output_tokens + beside:
            output_tokens += beside  # as xAI counts: elsewhere the reasoning is a part of the output
        complete = input_tokens is not None and output_tokens is not None
        if input_tokens is None:
            input_tokens = estimated_prompt_tokens
        if output_tokens is None:
            output_tokens = estimated_tokens(self._output_bytes)
        return Usage(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=total if complete and total is not None else input_tokens + output_tokens,
            source=UsageSource.PROVIDER if complete else UsageSource.ESTIMATED,
            cached_input_tokens=found["cached"],
            cache_write_tokens=found["written"],
            reasoning_tokens=found["reasoning"],
            audio_input_tokens=found["audio"],
        )

    def _note_finish(self, word: object) -> None:
        if not isinstance(word, str):
            return
        if any(not call.named for call in self._calls):
            raise MalformedAnswer("a tool call has no name")
        lower = word.lower()
        if lower in FAILED_FINISH_REASONS:
            raise ErrorInAnswer({"code": FAILED_FINISH_REASONS[lower]})
        self.provider_finish_reason = word
        self.finish_reason = FINISH_REASONS.get(lower, FinishReason.OTHER)
        if self.finish_reason is FinishReason.STOP and self._calls:
            # Sent so by servers whose caller named the tool that must be called.
            self.finish_reason = FinishReason.TOOL_CALLS

    def _deltas(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> list[Delta]:
        # Most events bring text alone, and burst by the thousand: what is absent is not looked into.
        deltas = [] if _REASONING_FIELDS.isdisjoint(delta) else self._reasoning_deltas(delta)
        logprobs = choice.get("logprobs")
        deltas += self._content_deltas(delta.get("content"), _logprobs(logprobs) if logprobs else ())
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            self._output_bytes += text_bytes(refusal)
            deltas.append(ContentDelta(refusal, refusal=True))
        if not _CALL_FIELDS.isdisjoint(delta):
            deltas += [self._call_delta(call) for call in call_pieces(delta)]
        if "provider_specific_fields" in delta:
            deltas = _signed(deltas, _signature_in(delta))
        return deltas

    def _reasoning_deltas(self, delta: Mapping[str, Any]) -> list[Delta]:
        blocks = _dicts(delta.get("thinking_blocks"))
        signature = "".join(_text(block.get("signature")) for block in blocks)
        text = (
            _text(delta.get("reasoning_content"))
            or _text(delta.get("reasoning"))
            or "".join(_text(block.get("thinking")) for block in blocks)
            or "".join(
                _text(part.get("text")) or _text(part.get("summary")) for part in _dicts(delta.get("reasoning_details"))
            )
        )
        deltas: list[Delta] = []
        if text or signature:
            self._output_bytes += text_bytes(text)
            deltas.append(ReasoningDelta(text, signature=signature))
        deltas += [
            ReasoningDelta(redacted=data.encode())
            for block in blocks
            if block.get("type") == "redacted_thinking" and (data := _text(block.get("data")))
        ]
        return deltas

    def _content_deltas(self, content: object, logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
        """Of a text, or of a list of parts (Mistral's form, thinking included)."""
        if content is None:
            return [ContentDelta("", logprobs)] if logprobs else []
        if isinstance(content, str):
            if not content and not logprobs:
                return []
            self._output_bytes += text_bytes(content)
            return [ContentDelta(content, logprobs)]
        deltas = part_deltas(content)
        self._output_bytes += sum(text_bytes(delta.text) for delta in deltas)
        return [*deltas]

    def _call_delta(self, call: Mapping[str, Any]) -> ToolCallDelta:
        function = _dict(call.get("function"))
        name, arguments = _text(function.get("name")), function.get("arguments")
        if isinstance(arguments, dict | list):
            arguments = json.dumps(arguments)
        arguments = _text(arguments)
        known = self._known_call(call, name)
        if known is None:
            wire_index = call.get("index")
            wire_id = _text(call.get("id"))
            known = _OpenCall(
                id=wire_id or f"call_{uuid.uuid4().hex}",
                index=len(self._calls),
                wire_index=wire_index if isinstance(wire_index, int) else None,
                wire_id=wire_id,
            )
            self._calls.append(known)
        if known.named:
            name = ""  # some servers repeat it in every piece
        known.named = known.named or bool(name)
        self._output_bytes += text_bytes(name) + text_bytes(arguments)
        return ToolCallDelta(known.id, known.index, name, arguments, _call_signature(call))

    def _known_call(self, call: Mapping[str, Any], name: str) -> _OpenCall | None:
        """The call that this piece goes on, by its index, else by its id, else by having no name of its own."""
        wire_index, wire_id = call.get("index"), _text(call.get("id"))
        if isinstance(wire_index, int):
            same = [known for known in self._calls if known.wire_index == wire_index]
            # Some servers give every whole call the index 0; a new id with a name tells them apart.
            if same and not (wire_id and name and same[-1].wire_id not in {"", wire_id}):
                return same[-1]
            return None
        if wire_id:
            return next((known for known in self._calls if known.wire_id == wire_id), None)
        return self._calls[-1] if self._calls and not name else None


def reported_usage(answer: Mapping[str, Any], choice: object) -> Mapping[str, Any]:
    """The counts in one event, wherever a server puts them: outermost, in a field of the vendor's, in the choice."""
    found: Mapping[str, Any] = {}
    for holder in (answer, answer.get("x_groq"), choice):
        if isinstance(holder, dict) and isinstance(usage := holder.get("usage"), dict):
            found = {**found, **usage} if found else usage
    return found


def part_deltas(content: object) -> list[ContentDelta | ReasoningDelta]:
    """The deltas of content that is a list of parts: texts, refusals, thinking as Mistral and Databricks write it.

    Raises MalformedAnswer.
    """
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise MalformedAnswer("content is neither text nor parts")
    return [delta for part in content if (delta := _part_delta(part)) is not None]


def _part_delta(part: Mapping[str, Any]) -> ContentDelta | ReasoningDelta | None:
    thinking = part.get("thinking") or part.get("summary")
    if thinking is not None:
        pieces = _dicts(thinking)
        text = _text(thinking) or "".join(_text(piece.get("text")) for piece in pieces)
        signature = _text(part.get("signature")) or "".join(_text(piece.get("signature")) for piece in pieces)
        return ReasoningDelta(text, signature=signature) if text or signature else None
    if refusal := _text(part.get("refusal")):
        return ContentDelta(refusal, refusal=True)
    return ContentDelta(text) if (text := _text(part.get("text"))) else None


def call_pieces(delta: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The pieces of tool calls in a delta: a list; one by itself, or a `function_call`, of old servers."""
    calls = delta.get("tool_calls")
    if not calls and isinstance(function := delta.get("function_call"), dict):
        return [{"function": function}]
    return [calls] if isinstance(calls, dict) and "function" in calls else _dicts(calls)


def _signature_in(delta: Mapping[str, Any]) -> str:
    """The signature of a text, or of reasoning, in litellm's dialect for Gemini; beside a call it is the call's."""
    if delta.get("tool_calls"):
        return ""
    return "".join(map(_text, _list(_dict(delta.get("provider_specific_fields")).get("thought_signatures"))))


def _signed(deltas: list[Delta], signature: str) -> list[Delta]:
    """The same deltas, the last of them signed; a signature alone is that of the text."""
    if not signature:
        return deltas
    last = deltas[-1] if deltas else ContentDelta("")
    return [*deltas[:-1], replace(last, signature=last.signature or signature)]


def joined(deltas: list[Delta]) -> list[Delta]:
    """The same deltas, neighbours of the same kind made one: what one network read brought leaves as one message."""
    if len(deltas) < 2:
        return deltas
    result: list[Delta] = []
    run: list[Delta] = []
    for delta in deltas:
        if run and not _continues(run[-1], delta):
            result.append(_one(run))
            run = []
        run.append(delta)
    result.append(_one(run))
    return result


def _continues(before: Delta, after: Delta) -> bool:
    match before, after:
        case ContentDelta(), ContentDelta():
            return before.refusal == after.refusal and not before.signature
        case ReasoningDelta(), ReasoningDelta():
            return not (before.signature or before.redacted or after.redacted)
        case ToolCallDelta(), ToolCallDelta():
            return before.call_id == after.call_id
        case _:
            return False


def _one(run: list[Delta]) -> Delta:
    first, last = run[0], run[-1]
    if len(run) == 1:
        return first
    match first:
        case ContentDelta():
            pieces = [delta for delta in run if isinstance(delta, ContentDelta)]
            logprobs = tuple(logprob for piece in pieces for logprob in piece.logprobs)
            text = "".join(piece.text for piece in pieces)
            return ContentDelta(text, logprobs, first.refusal, pieces[-1].signature)
        case ReasoningDelta():
            text = "".join(delta.text for delta in run if isinstance(delta, ReasoningDelta))
            return ReasoningDelta(text, signature=last.signature if isinstance(last, ReasoningDelta) else "")
        case ToolCallDelta():
            calls = [delta for delta in run if isinstance(delta, ToolCallDelta)]
            signature = next((call.signature for call in reversed(calls) if call.signature), "")
            name = "".join(call.name for call in calls)
            arguments = "".join(call.arguments for call in calls)
            return ToolCallDelta(first.call_id, first.index, name, arguments, signature)


def decoded_event(event: bytes) -> object:
    """The JSON of an event, fit for protobuf. Raises MalformedAnswer."""
    try:
        return msgspec.json.decode(event)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # perhaps half of a surrogate pair, which msgspec refuses and the standard library takes
    except RecursionError as exc:
        raise MalformedAnswer("an event is nested too deeply") from exc
    try:
        return _without_surrogates(json.loads(event))
    except (ValueError, RecursionError) as exc:
        raise MalformedAnswer("an event is not JSON") from exc


def _without_surrogates(value: Any) -> Any:
    """The same value, each lone surrogate replaced: protobuf refuses them."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
        case _:
            return value


def _counts(usage: Mapping[str, Any]) -> dict[str, int | None]:
    input_details = _dict(usage.get("prompt_tokens_details")) or _dict(usage.get("input_tokens_details"))
    output_details = _dict(usage.get("completion_tokens_details")) or _dict(usage.get("output_tokens_details"))

    def first(*candidates: object) -> int | None:
        return next((count for candidate in candidates if (count := _count(candidate)) is not None), None)

    return {
        "input": first(usage.get("prompt_tokens"), usage.get("input_tokens")),
        "output": first(usage.get("completion_tokens"), usage.get("output_tokens")),
        "total": first(usage.get("total_tokens")),
        "cached": first(
            input_details.get("cached_tokens"),
            usage.get("prompt_cache_hit_tokens"),
            usage.get("cached_tokens"),
            usage.get("cache_read_input_tokens"),
        ),
        "written": first(
            input_details.get("cache_write_tokens"),
            input_details.get("cache_creation_tokens"),
            usage.get("cache_creation_input_tokens"),
        ),
        "reasoning": first(output_details.get("reasoning_tokens"), usage.get("reasoning_tokens")),
        "audio": first(input_details.get("audio_tokens")),
    }


def _logprobs(value: object) -> tuple[TokenLogprob, ...]:
    entries = [entry for entry in _list(_dict(value).get("content")) if isinstance(entry, dict)]
    return tuple(
        TokenLogprob(
            _text(entry.get("token")),
            _float(entry.get("logprob")),
            _bytes(entry.get("bytes")),
            tuple(
                AlternativeToken(
                    _text(_dict(top).get("token")), _float(_dict(top).get("logprob")), _bytes(_dict(top).get("bytes"))
                )
                for top in _list(entry.get("top_logprobs"))
            ),
        )
        for entry in entries
    )


def _call_signature(call: Mapping[str, Any]) -> str:
    google = _dict(_dict(call.get("extra_content")).get("google"))
    own = _dict(call.get("provider_specific_fields"))
    return _text(google.get("thought_signature")) or _text(own.get("thought_signature"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _count(value: object) -> int | None:
    """A number of tokens, not so large that sums of it leave protobuf's range; some servers write 12.0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if 0 <= value < 2**31 and value == int(value) else None


def _float(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
    except OverflowError:  # a whole number of hundreds of digits
        return 0.0


def _bytes(value: object) -> bytes:
    numbers = _list(value)
    return bytes(numbers) if all(isinstance(number, int) and 0 <= number < 256 for number in numbers) else b""
