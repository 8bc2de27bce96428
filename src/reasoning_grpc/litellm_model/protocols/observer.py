"""What the upstream itself says in an answer that litellm reads: why it ended, what it used, what went wrong.

litellm invents a finish reason where there is none, renames most of them, makes a 500
of every error in a stream, counts tokens itself where nobody else did, and trips over
a null. So a witness of the provider's protocol sees each event first; what litellm
makes of the text is left to litellm.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from reasoning_grpc.domain.events import ContentDelta, ReasoningDelta
from reasoning_grpc.litellm_model.answers import (
    FAILED_FINISH_REASONS,
    ErrorInAnswer,
    MalformedAnswer,
    call_pieces,
    decoded_event,
    part_deltas,
    reported_usage,
)

Json = dict[str, Any]


@dataclass(slots=True)
class Witness:
    """Sees the JSON events of one answer, in order. This one knows no protocol, only what an error looks like."""

    knows_protocol: ClassVar[bool] = False
    """Whether it can tell the end of an answer, so that its word is final."""
    finish_word: str = ""
    """Why the answer ended, in the provider's own word; empty as long as it did not say."""
    usage: Json = field(default_factory=dict)
    """What the provider counted so far, in the words of the OpenAI protocol."""
    text_length: int = 0
    """Characters of text in the answer so far: none of it may go missing."""
    saw_anything: bool = False
    """Whether any event came by: an answer that litellm reads as a whole does not."""
    failed: bool = False
    """Whether the answer broke off, or could not be read, before litellm had it."""

    def passed(self, event: bytes) -> bytes:
        """The event as litellm may have it. Raises MalformedAnswer and ErrorInAnswer."""
        self.saw_anything = True
        answer = decoded_event(event)
        if not isinstance(answer, dict):
            raise MalformedAnswer("an event is no object")
        if answer.get("error"):
            raise ErrorInAnswer(answer["error"])
        return _one_line(self._passed(answer))

    def whole(self, body: bytes) -> list[bytes]:
        """The events that an answer amounts to which is no stream. Raises MalformedAnswer and ErrorInAnswer."""
        self.passed(body)
        raise MalformedAnswer("the answer is no stream")

    def _passed(self, answer: Json) -> Json:
        """The event as litellm may have it, once it was looked at. Raises MalformedAnswer and ErrorInAnswer."""
        return answer

    def _finish(self, word: object) -> None:
        if not isinstance(word, str) or not word:
            return
        if word.lower() in FAILED_FINISH_REASONS:
            raise ErrorInAnswer({"code": FAILED_FINISH_REASONS[word.lower()]})
        self.finish_word = word

    def _hear(self, text: object) -> str:
        """A piece of text, perhaps null. Raises MalformedAnswer."""
        if not isinstance(text, str | None):
            raise MalformedAnswer("text is none")
        self.text_length += len(text or "")
        return text or ""


@dataclass(slots=True)
class OpenAIWitness(Witness):
    """Of POST /chat/completions: chunks with choices, or a completion that counts as one chunk.

    What litellm would lose is put where it does not: it reads content only as text, knows one name or
    the other for reasoning, leaves out a chunk in which it sees nothing, takes calls without an index
    for one call, and breaks where an outer member is missing.
    """

    knows_protocol = True
    calls_have_index: bool = True

    def whole(self, body: bytes) -> list[bytes]:
        """See `Witness.whole`."""
        return [self.passed(body)]

    def _passed(self, answer: Json) -> Json:
        if not answer.keys() & {"choices", "usage"}:
            raise MalformedAnswer("an event has no choices")
        choice = _first(answer.get("choices"))
        self.usage |= reported_usage(answer, choice)
        answer = {"id": "", "created": 0, "model": "", **answer}
        for name in ("usage", "error"):
            answer.pop(name, None)
        if not choice:
            return answer | {"choices": [], "usage": _COUNTED}
        delta = _dict(choice.get("delta")) or (_dict(choice.get("message")) if not self.text_length else {})
        choice["delta"] = self._readable(delta)
        self._finish(choice.get("finish_reason"))
        return answer | {"choices": [choice]} | ({"usage": _COUNTED} if self.finish_word else {})

    def _readable(self, delta: Json) -> Json:
        """The same delta in a form of which litellm loses nothing."""
        if not isinstance(delta.get("content"), str | None):
            delta |= _fields_of_parts(part_deltas(delta["content"]))
        self._hear(delta.get("content"))
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            delta |= {"reasoning_content": thought, "reasoning": thought}
        calls = [dict(call) for call in call_pieces(delta)]
        self.calls_have_index = self.calls_have_index and all(isinstance(call.get("index"), int) for call in calls)
        for name in ("tool_calls", "function_call"):
            delta.pop(name, None)
        if calls:
            delta["tool_calls"] = calls
        if any(delta.get(name) for name in ("refusal", "thinking_blocks", "reasoning_details")):
            delta["provider_specific_fields"] = _dict(delta.get("provider_specific_fields")) | {"keep": True}
        return delta


@dataclass(slots=True)
class AnthropicWitness(Witness):
    """Of POST /v1/messages: events with a type, or a message that counts as a few of them.

    litellm takes the arguments of a call only from pieces, never from the block's start, and shows
    the provider's own tools as if the caller had to run them.
    """

    knows_protocol = True
    _inputs: dict[object, Json] = field(default_factory=dict)
    """By index: of calls that began, and of whose arguments no piece came yet."""
    _hidden: set[object] = field(default_factory=set)
    """Indices of blocks that are calls of the provider's own tools."""

    def whole(self, body: bytes) -> list[bytes]:
        """See `Witness.whole`."""
        message = decoded_event(body)
        if not isinstance(message, dict) or message.get("type") != "message":
            self.passed(body)  # perhaps an error
            raise MalformedAnswer("the answer is no message")
        self.saw_anything = True
        return [_one_line(self._passed(event)) for event in _events_of_message(message)]

    def _passed(self, answer: Json) -> Json:
        match answer.get("type"):
            case "error":
                raise ErrorInAnswer({})
            case "message_start":
                message = answer["message"] = _dict(answer.get("message"))
                self._count(_dict(message.pop("usage", None)), finished=False)
            case "content_block_start":
                return self._block_start(answer)
            case "content_block_delta":
                return self._block_delta(answer)
            case "content_block_stop":
                return self._block_stop(answer)
            case "message_delta":
                self._finish(_dict(answer.get("delta")).get("stop_reason"))
                self._count(_dict(answer.pop("usage", None)), finished=True)
                answer["usage"] = {"input_tokens": 1, "output_tokens": 1}  # see _COUNTED
                answer["delta"] = {"stop_reason": "end_turn"}  # litellm warns of words that it does not know
            case str():
                pass
            case _:
                raise MalformedAnswer("an event has no type")
        return answer

    def _block_start(self, event: Json) -> Json:
        block = event["content_block"] = _dict(event.get("content_block"))
        match block.get("type"):
            case "text":
                block["text"] = self._hear(block.get("text"))
            case "tool_use":
                self._inputs[event.get("index")] = _dict(block.get("input"))
                block["id"] = block.get("id") or ""
                if not block.get("name"):
                    raise MalformedAnswer("a tool call has no name")
            case "server_tool_use":
                self._hidden.add(event.get("index"))
                return _NOTHING
            case str():
                pass
            case _:
                raise MalformedAnswer("a block has no type")
        return event

    def _block_delta(self, event: Json) -> Json:
        if event.get("index") in self._hidden:
            return _NOTHING
        delta = event["delta"] = {"type": "", **_dict(event.get("delta"))}
        if "text" in delta:
            delta["text"] = self._hear(delta["text"])
        if delta.get("partial_json"):
            self._inputs.pop(event.get("index"), None)
        return event

    def _block_stop(self, event: Json) -> Json:
        index = event.get("index")
        if index in self._hidden:
            return _NOTHING
        if index not in self._inputs:
            return event
        arguments = {"type": "input_json_delta", "partial_json": json.dumps(self._inputs.pop(index))}
        return {"type": "content_block_delta", "index": index, "delta": arguments}

    def _count(self, usage: Json, *, finished: bool) -> None:
        """Input is told at the start, perhaps again at the end; output only at the end, and the parts of each apart."""
        read, written = _number(usage, "cache_read_input_tokens"), _number(usage, "cache_creation_input_tokens")
        if isinstance(uncached := usage.get("input_tokens"), int):
            self.usage["prompt_tokens"] = uncached + (read or 0) + (written or 0)
            self.usage["prompt_tokens_details"] = {"cached_tokens": read, "cache_write_tokens": written}
        if finished:
            self.usage["completion_tokens"] = usage.get("output_tokens")
            thinking = _dict(usage.get("output_tokens_details")).get("thinking_tokens")
            self.usage["completion_tokens_details"] = {"reasoning_tokens": thinking}


@dataclass(slots=True)
class GeminiWitness(Witness):
    """Of POST ...:streamGenerateContent: responses with candidates, or with the reason why there are none."""

    knows_protocol = True

    def whole(self, body: bytes) -> list[bytes]:
        """See `Witness.whole`: a response, or a list of them."""
        responses = decoded_event(body)
        if not isinstance(responses, list):
            return [self.passed(body)]
        return [self.passed(json.dumps(response).encode()) for response in responses]

    def _passed(self, answer: Json) -> Json:
        blocked = _dict(answer.get("promptFeedback")).get("blockReason")
        if not blocked and not answer.keys() & {"candidates", "usageMetadata"}:
            raise MalformedAnswer("an event has no candidates")
        candidate = _first(answer.get("candidates"))
        if "content" in candidate:
            content = candidate["content"] = _dict(candidate["content"])
            content["parts"] = [self._readable(part) for part in _list(content.get("parts"))]
        self._finish(blocked or candidate.get("finishReason"))
        if candidate.get("finishReason"):
            candidate["finishReason"] = "STOP"  # litellm warns of words that it does not know
        self._count(_dict(answer.pop("usageMetadata", None)))
        if self.finish_word:  # see _COUNTED
            answer["usageMetadata"] = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
        return answer

    def _readable(self, part: object) -> Json:
        """The same part without nulls, on which litellm breaks. Raises MalformedAnswer."""
        if not isinstance(part, dict):
            raise MalformedAnswer("a part is no object")
        part = {name: value for name, value in part.items() if value is not None}
        if not part.get("thought"):
            self._hear(part.get("text"))
        if isinstance(call := part.get("functionCall"), dict):
            call["args"] = _dict(call.get("args"))
        return part

    def _count(self, usage: Json) -> None:
        """Every event tells the prompt; the later ones also tell the output, thoughts apart."""
        if not usage:
            return
        prompt, by_tools = _number(usage, "promptTokenCount"), _number(usage, "toolUsePromptTokenCount")
        texts, thoughts = _number(usage, "candidatesTokenCount"), _number(usage, "thoughtsTokenCount")
        self.usage = {
            "prompt_tokens": _sum(prompt, by_tools),
            "prompt_tokens_details": {
                "cached_tokens": usage.get("cachedContentTokenCount"),
                "audio_tokens": _of_modality(usage.get("promptTokensDetails"), "AUDIO"),
            },
            "completion_tokens": _sum(texts, thoughts),
            "completion_tokens_details": {"reasoning_tokens": thoughts},
            # Before the end it is that of the prompt alone.
            "total_tokens": usage.get("totalTokenCount") if self.finish_word else None,
        }


@dataclass(slots=True)
class OllamaWitness(Witness):
    """Of POST /api/chat and /api/generate: objects, the last of which is done.

    Calls come whole, one event each perhaps; litellm would take them all for one.
    """

    knows_protocol = True
    _calls: int = 0

    def _passed(self, answer: Json) -> Json:
        if not isinstance(answer.get("done"), bool):
            raise MalformedAnswer("an event does not say whether it is the last")
        message = _dict(answer.get("message"))
        for text in (message.get("content"), answer.get("response")):
            if not (isinstance(text, str) and "think>" in text):  # litellm makes reasoning of what such a tag begins
                self._hear(text)
        for call in filter(None, map(_dict, _list(message.get("tool_calls")))):
            call |= {"id": call.get("id") or f"call_{uuid.uuid4().hex}", "index": self._calls}
            self._calls += 1
        if answer["done"]:
            self._finish(answer.get("done_reason") or "stop")
            self.usage = {
                "prompt_tokens": answer.get("prompt_eval_count"),
                "completion_tokens": answer.get("eval_count"),
            }
        return answer


_BY_PATH: Final[Mapping[str, type[Witness]]] = {
    "/chat/completions": OpenAIWitness,
    "/messages": AnthropicWitness,
    ":streamGenerateContent": GeminiWitness,
    "/api/chat": OllamaWitness,
    "/api/generate": OllamaWitness,
}


def witness_of(path: str) -> Witness:
    """The witness for answers to a POST to this path of a URL."""
    return next((witness for end, witness in _BY_PATH.items() if path.endswith(end)), Witness)()


_COUNTED: Final[Json] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
"""A count that nobody reads: without any, litellm runs a tokenizer over prompt and answer at the end of each call."""

_NOTHING: Final[Json] = {"type": "ping"}
"""An event of Anthropic's that says nothing."""


def _events_of_message(message: Json) -> Iterator[Json]:
    """The events in which Anthropic would have streamed this message."""
    yield {"type": "message_start", "message": message | {"content": []}}
    for index, block in enumerate(map(_dict, _list(message.get("content")))):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        if block.get("type") == "thinking":
            for name in ("thinking", "signature"):
                delta = {"type": f"{name}_delta", name: block.get(name) or ""}
                yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    delta = {"stop_reason": message.get("stop_reason")}
    yield {"type": "message_delta", "delta": delta, "usage": message.get("usage")}


def _one_line(answer: Json) -> bytes:
    """JSON that is one line by anybody's notion of lines, and without the mark that litellm takes for the end."""
    return json.dumps(answer).replace("[DONE]", "\\u005bDONE]").encode()


def _fields_of_parts(deltas: list[ContentDelta | ReasoningDelta]) -> Json:
    """What a delta of the OpenAI protocol has in the place of these parts of content."""
    said = [delta for delta in deltas if isinstance(delta, ContentDelta)]
    thought = [delta for delta in deltas if isinstance(delta, ReasoningDelta)]
    thinking, signature = "".join(delta.text for delta in thought), "".join(delta.signature for delta in thought)
    block = {"type": "thinking", "thinking": thinking, "signature": signature}
    fields = {
        "content": "".join(delta.text for delta in said if not delta.refusal),
        "refusal": "".join(delta.text for delta in said if delta.refusal),
        "reasoning_content": thinking,
        "thinking_blocks": [block] if signature else None,
    }
    return {name: value or None for name, value in fields.items()}


def _of_modality(details: object, modality: str) -> object:
    """The tokens of one kind of input."""
    found = (_dict(entry) for entry in _list(details) if _dict(entry).get("modality") == modality)
    return next((entry.get("tokenCount") for entry in found), None)


def _first(values: object) -> Json:
    return _dict(next(iter(_list(values)), None))


def _dict(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(usage: Json, name: str) -> int | None:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None and other is None else (one or 0) + (other or 0)
