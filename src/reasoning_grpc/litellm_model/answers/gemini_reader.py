"""`GeminiReader`: reads the responses of one answer of Google's Gemini API.

Texts and thoughts come in deltas, and calls come whole. A signature may stand at any part, also at one without a text,
and goes back at the same part.
"""

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace

from reasoning_grpc.domain import FinishReason, count_bytes
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta, TokenLogprob, ToolCallDelta
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import check_finish_word, convert_finish_word
from reasoning_grpc.litellm_model.answers.gemini_logprobs import read_gemini_logprobs
from reasoning_grpc.litellm_model.answers.gemini_response import (
    FunctionCall,
    GeminiPart,
    GeminiResponse,
    InlineData,
    decode_response,
    decode_responses,
)
from reasoning_grpc.litellm_model.answers.gemini_texts import has_counts, read_gemini_texts
from reasoning_grpc.litellm_model.answers.gemini_usage import read_gemini_usage
from reasoning_grpc.litellm_model.answers.generations import GenerationCheck
from reasoning_grpc.litellm_model.answers.joining import join_deltas
from reasoning_grpc.litellm_model.answers.record import AnswerRecord

_WITHOUT_TEXT: Final = ("audio/", "image/")
"""The beginnings of the MIME types of files that have no place in a text."""


@dataclass(slots=True)
class GeminiReader(AnswerRecord):
    """Reads the responses of one answer, in order. The end of the body ends this protocol's stream."""

    _generations: GenerationCheck = field(default_factory=GenerationCheck)
    _goes_on: bool = False
    """Whether content has followed a finish reason."""
    _call_ids: set[str] = field(default_factory=set)
    _counts: Raw = field(default_factory=Raw)
    """The latest counts of Google's, in JSON."""
    _has_final_counts: bool = False
    """Whether they came with a finish reason, or after one."""
    _is_in_text: bool = False
    """Whether the last response had text alone, so that the next one probably has, too."""

    def read_batch(self, events: list[bytes]) -> tuple[list[Delta], Exception | None]:
        """See `AnswerRecord.read_batch`. The texts of neighbouring responses make one delta."""
        deltas: list[Delta] = []
        position = 0
        try:
            while position < len(events):
                if self._is_in_text and self.finish_reason is None:
                    position += self._read_texts(islice(events, position, None), deltas)
                if position < len(events):
                    read = self.read(events[position])
                    self._is_in_text = bool(read) and all(isinstance(delta, ContentDelta) for delta in read)
                    deltas += read
                    position += 1
        except (MalformedAnswer, ErrorInAnswer) as exc:
            return deltas, exc
        return deltas, None

    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one response. Raises MalformedAnswer and ErrorInAnswer."""
        return self._read_response(decode_response(event))

    def read_whole(self, body: bytes) -> list[Delta]:
        """See `AnswerRecord.read_whole`: the body is a response, or a list of them."""
        return [delta for response in decode_responses(body) for delta in self._read_response(response)]

    def join(self, deltas: list[Delta]) -> list[Delta]:
        """See `AnswerRecord.join`. A signature at a part without text goes back there, so it stays apart."""
        joined: list[Delta] = []
        start = 0
        for index, delta in enumerate(deltas):
            if isinstance(delta, ContentDelta) and delta.signature and not delta.text:
                joined += [*join_deltas(deltas[start:index]), delta]
                start = index + 1
        return joined + join_deltas(deltas[start:])

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived, and is the last thing but usage."""
        return self.finish_reason is not None and not self._goes_on

    def _read_texts(self, events: Iterable[bytes], deltas: list[Delta]) -> int:
        """Adds the text of the first responses, as far as they have nothing else, and returns their number."""
        read = read_gemini_texts(events, self._generations.is_continued_by, self._counts)
        if read.texts:
            deltas.append(ContentDelta("".join(read.texts)))
            self._count_output(deltas[-1:])
        if read.counted is not None:
            self._counts = read.counts
            self.uncounted_bytes = count_bytes("".join(read.texts[read.counted :]))
        return len(read.texts)

    def _read_response(self, response: GeminiResponse) -> list[Delta]:
        candidate, word = response.find_candidate(), response.block_reason
        deltas: list[Delta] = []
        has_content = False
        if candidate is not None:
            for part in candidate.parts:
                has_content = has_content or part.has_content
                self._read_part(part, deltas)
            if candidate.logprobs_result:
                deltas = _add_logprobs(deltas, read_gemini_logprobs(candidate.logprobs_result))
            word = word or candidate.finish_reason
        self._generations.check(response.response_id, has_content=has_content, has_finish=bool(word))
        if self.finish_reason is not None and has_content:
            self._goes_on = True
        if word:
            check_finish_word(word)
            self.provider_finish_reason, self.finish_reason = word, convert_finish_word(word)
        if self.finish_reason is FinishReason.STOP and self._call_ids:
            self.finish_reason = FinishReason.TOOL_CALLS  # Google has no word of its own for that
        self._count_output(deltas)
        if has_counts(response.usage_metadata):
            self._record_counts(response.usage_metadata)
        if deltas or self.finish_reason is not None:
            self.has_answer = True
        return deltas

    def _read_part(self, part: GeminiPart, deltas: list[Delta]) -> None:
        """Adds what a part has for the caller. A signature beside a call is that of the call."""
        text, call, signature = part.text, part.function_call, part.thought_signature or ""
        if text is None:
            text = "" if part.inline_data is None else _write_file(part.inline_data)
        signature_of_text = "" if call is not None else signature
        if text or signature_of_text:
            delta = ReasoningDelta if part.thought else ContentDelta
            deltas.append(delta(text, signature=signature_of_text))
        if call is not None:
            deltas.append(self._read_call(call, signature))

    def _read_call(self, call: FunctionCall, signature: str) -> ToolCallDelta:
        if not call.name:
            raise MalformedAnswer("a function call has no name")
        call_id, index = call.id or "", len(self._call_ids)
        if not call_id or call_id in self._call_ids:
            call_id = f"call_{uuid.uuid4().hex}"
        self._call_ids.add(call_id)
        arguments = json.dumps(call.args or {}, ensure_ascii=False)
        return ToolCallDelta(call_id, index, call.name, arguments, signature)

    def _record_counts(self, counts: Raw) -> None:
        """Records the counts of one response, which include its deltas where they differ from those before."""
        has_final_counts = self.finish_reason is not None
        if counts != self._counts or has_final_counts != self._has_final_counts:
            self._counts, self._has_final_counts = counts, has_final_counts
            self.uncounted_bytes = 0

    def _find_usage(self) -> Mapping[str, Any]:
        return read_gemini_usage(bytes(self._counts), is_final=self._has_final_counts)


def _write_file(file: InlineData) -> str:
    """Returns a file as a text of the answer, as litellm writes it; empty for an image or a sound."""
    return "" if file.mime_type.startswith(_WITHOUT_TEXT) else f"data:{file.mime_type};base64,{file.data}"


def _add_logprobs(deltas: list[Delta], logprobs: tuple[TokenLogprob, ...]) -> list[Delta]:
    """Returns the deltas with the log probabilities on the first text, or on an empty text at the end."""
    for index, delta in enumerate(deltas):
        if isinstance(delta, ContentDelta):
            return [*deltas[:index], replace(delta, logprobs=logprobs), *deltas[index + 1 :]]
    return [*deltas, ContentDelta("", logprobs)] if logprobs else deltas
