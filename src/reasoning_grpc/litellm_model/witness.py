"""What the upstream itself says in an answer that litellm reads: why it ended, what it used, what went wrong.

litellm invents a finish reason where there is none, renames most of them, makes a 500
of every error in a stream, counts tokens itself where nobody else did, and trips over
a null. So a witness of the provider's protocol sees each event first; what litellm
makes of the text is left to litellm.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import msgspec

from reasoning_grpc.litellm_model.answers import ErrorInAnswer, MalformedAnswer, decoded_event

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

    def passed(self, event: bytes) -> bytes:
        """The event as litellm may have it. Raises MalformedAnswer and ErrorInAnswer."""
        answer = decoded_event(event)
        if not isinstance(answer, dict):
            raise MalformedAnswer("an event is no object")
        if answer.get("error"):
            raise ErrorInAnswer(answer["error"])
        return msgspec.json.encode(self._passed(answer))

    def whole(self, body: bytes) -> bytes:
        """The one event that an answer amounts to which is no stream. Raises MalformedAnswer and ErrorInAnswer."""
        self.passed(body)
        raise MalformedAnswer("the answer is no stream")

    def _passed(self, answer: Json) -> Json:
        """The event as litellm may have it, once it was looked at. Raises MalformedAnswer and ErrorInAnswer."""
        return answer

    def _finish(self, word: object) -> None:
        if isinstance(word, str) and word:
            self.finish_word = word


class OpenAIWitness(Witness):
    """Of POST /chat/completions: chunks with choices."""

    knows_protocol = True

    def whole(self, body: bytes) -> bytes:
        """See `Witness.whole`: the message of a completion is the only delta of its only chunk."""
        answer = decoded_event(body)
        if isinstance(answer, dict):
            for choice in _list(answer.get("choices")):
                if isinstance(choice, dict) and "message" in choice:
                    choice["delta"] = choice.pop("message")
            body = msgspec.json.encode(answer)
        return self.passed(body)

    def _passed(self, answer: Json) -> Json:
        if not answer.keys() & {"choices", "usage"}:
            raise MalformedAnswer("an event has no choices")
        for usage in (answer.pop("usage", None), _dict(answer.get("x_groq")).get("usage")):
            self.usage |= _dict(usage)
        answer["choices"] = [choice for choice in _list(answer.get("choices")) if isinstance(choice, dict)]
        for choice in answer["choices"]:
            if not isinstance(_dict(choice.get("delta")).get("content", ""), str | list | None):
                raise MalformedAnswer("content is neither text nor parts")
            choice["delta"] = _dict(choice.get("delta"))
        self._finish(_first(answer["choices"]).get("finish_reason"))
        return answer


class AnthropicWitness(Witness):
    """Of POST /v1/messages: events with a type."""

    knows_protocol = True

    def _passed(self, answer: Json) -> Json:
        kind = answer.get("type")
        if kind == "error":
            raise ErrorInAnswer({})
        if not isinstance(kind, str):
            raise MalformedAnswer("an event has no type")
        if kind == "message_start":
            message = answer["message"] = _dict(answer.get("message"))
            self._count(_dict(message.pop("usage", None)), finished=False)
        if kind == "message_delta":
            delta = answer["delta"] = _dict(answer.get("delta"))
            self._finish(delta.get("stop_reason"))
            self._count(_dict(answer.pop("usage", None)), finished=True)
        return answer

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


class GeminiWitness(Witness):
    """Of POST ...:streamGenerateContent: responses with candidates, or with the reason why there are none."""

    knows_protocol = True

    def _passed(self, answer: Json) -> Json:
        blocked = _dict(answer.get("promptFeedback")).get("blockReason")
        if not blocked and not answer.keys() & {"candidates", "usageMetadata"}:
            raise MalformedAnswer("an event has no candidates")
        candidate = _first(answer.get("candidates"))
        self._finish(blocked or candidate.get("finishReason"))
        self._count(_dict(answer.pop("usageMetadata", None)))
        return answer

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
        }


class OllamaWitness(Witness):
    """Of POST /api/chat and /api/generate: objects, the last of which is done."""

    knows_protocol = True

    def _passed(self, answer: Json) -> Json:
        if not isinstance(answer.get("done"), bool):
            raise MalformedAnswer("an event does not say whether it is the last")
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
