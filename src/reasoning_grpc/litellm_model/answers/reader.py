"""`AnswerReader`: reads the JSON events of one answer of the OpenAI protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ReasoningDelta
from reasoning_grpc.litellm_model.answers.choices import select_delta
from reasoning_grpc.litellm_model.answers.content import (
    find_signature,
    read_content,
    read_logprobs,
    read_reasoning,
    sign_last,
)
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.finish_reasons import check_finish_word, convert_finish_word
from reasoning_grpc.litellm_model.answers.generations import GenerationCheck
from reasoning_grpc.litellm_model.answers.json_events import decode_frequent
from reasoning_grpc.litellm_model.answers.plain_chunks import PlainChunk, decode_plain_chunk, decode_plain_usage
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import decode_part, read_choice
from reasoning_grpc.litellm_model.answers.tool_calls import ToolCallReader, find_calls
from reasoning_grpc.litellm_model.answers.usage import find_usage

_REASONING_FIELDS: Final = frozenset({"reasoning_content", "reasoning", "thinking_blocks", "reasoning_details"})
_NO_ID: Final = object()
_MOST_OTHER_EVENTS: Final = 16
"""After so many events that are no plain chunks, one of so many is tried: the server may begin to write such chunks."""
_CALL_FIELDS: Final = frozenset({"tool_calls", "function_call"})


@dataclass(slots=True)
class AnswerReader(AnswerRecord):
    """Reads the JSON events of one answer, in order. `[DONE]`, or the end of the body, ends this protocol's stream."""

    _calls: ToolCallReader = field(default_factory=ToolCallReader)
    _generations: GenerationCheck = field(default_factory=GenerationCheck)
    _other_events: int = 0
    """The events since the last plain chunk."""
    _settled_id: object = _NO_ID
    """The id under which a plain text has nothing to record but itself."""
    _goes_on: bool = False
    """Whether content has followed a finish reason."""

    def read_batch(self, events: list[bytes]) -> tuple[list[Delta], Exception | None]:
        """See `AnswerRecord.read_batch`. The texts of neighbouring plain chunks make one delta."""
        deltas: list[Delta] = []
        texts: list[str] = []
        try:
            for event, chunk in zip(events, self._decode_plain_chunks(events), strict=True):
                if chunk is None:
                    self._other_events += 1
                    if texts:
                        self._end_text(texts, deltas)
                    self._settled_id = _NO_ID
                    deltas += self._read_other(event)
                    continue
                choice = chunk.choices[0]
                delta = choice.delta
                text, word, thought = delta.content, choice.finish_reason, delta.reasoning_content or delta.reasoning
                if text and not thought and not word and chunk.id == self._settled_id:
                    texts.append(text)
                    continue
                self._other_events = 0
                if texts:
                    self._end_text(texts, deltas)
                read: list[Delta] = [ReasoningDelta(thought)] if thought else []
                if text:
                    read.append(ContentDelta(text))
                if read:
                    self._count_output(read)
                self._record_part(chunk.id, read, word)
                deltas += read
                is_settled = self.finish_reason is None and self._generations.is_continued_by(chunk.id)
                self._settled_id = chunk.id if is_settled else _NO_ID
        except (MalformedAnswer, ErrorInAnswer) as exc:
            return deltas, exc
        if texts:
            self._end_text(texts, deltas)
        return deltas, None

    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""
        return self.read_answer(decode_part(event))

    def read_answer(self, answer: object) -> list[Delta]:
        """Returns the deltas of one event whose JSON is decoded. Raises MalformedAnswer and ErrorInAnswer.

        Content that follows a finish reason with content still belongs to the answer, since some servers send a finish
        reason with every part. The last one counts, and then only the end of the stream ends the answer.
        """
        if not isinstance(answer, dict):
            raise MalformedAnswer("an event is not an object")
        try:
            choice = read_choice(answer)
        except ErrorInAnswer:
            self._record_usage(find_usage(answer, None))
            raise
        if choice is None and answer.get("choices") is None and not answer.keys() & {"choices", "usage"}:
            raise MalformedAnswer("an event has no choices")
        usage = find_usage(answer, choice)
        self._record_usage(usage)
        if choice is None:
            return []
        delta = select_delta(choice, is_first=not self.has_answer)
        deltas = self._read_delta(delta, choice)
        self._record_part(answer.get("id"), deltas, choice.get("finish_reason"))
        if usage:
            self.uncounted_bytes = 0  # the counts of an event include its deltas
        return deltas

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived, and is the last thing but usage."""
        return self.finish_reason is not None and not self._goes_on

    def _read_other(self, event: bytes) -> list[Delta]:
        """Returns the deltas of an event that is no plain chunk; it is often the usage, behind the finish reason."""
        if self.finish_reason is not None and (usage := decode_plain_usage(event)):
            self._record_usage(usage)
            return []
        return self.read(event)

    def _decode_plain_chunks(self, events: list[bytes]) -> list[PlainChunk | None]:
        """Returns the plain chunks among the events; it tries rarely where the server writes none."""
        if self._other_events >= _MOST_OTHER_EVENTS and -self._other_events % _MOST_OTHER_EVENTS >= len(events):
            return [None] * len(events)
        return decode_frequent(decode_plain_chunk, events)

    def _end_text(self, texts: list[str], deltas: list[Delta]) -> None:
        """Makes one delta of the texts of plain chunks, and forgets them."""
        deltas.append(ContentDelta("".join(texts)))
        self._count_output(deltas[-1:])
        texts.clear()

    def _record_part(self, part_id: object, deltas: list[Delta], word: object) -> None:
        """Records the deltas and the finish reason of one part. Raises MalformedAnswer and ErrorInAnswer."""
        self._generations.check(part_id, has_content=bool(deltas), has_finish=bool(word))
        if deltas and self.finish_reason is not None:
            self._goes_on = True
        if word:
            self._record_finish(word)
        if self.finish_reason is not None and self._calls.has_calls:
            self._check_calls()
        if deltas or self.finish_reason is not None:
            self.has_answer = True

    def _record_finish(self, word: object) -> None:
        if not isinstance(word, str):
            return
        check_finish_word(word)
        self.provider_finish_reason = word
        self.finish_reason = convert_finish_word(word)

    def _check_calls(self) -> None:
        """Checks the calls of an answer that has finished, also those that came after the finish reason."""
        if self._calls.has_unnamed_call:
            raise MalformedAnswer("a tool call has no name")
        if self.finish_reason is FinishReason.STOP:
            # Some servers send STOP where the caller named the tool that must be called.
            self.finish_reason = FinishReason.TOOL_CALLS

    def _read_delta(self, delta: Mapping[str, Any], choice: Mapping[str, Any]) -> list[Delta]:
        # Most events bring only text, and bursts have thousands of them: absent fields must cost nothing.
        deltas = [] if _REASONING_FIELDS.isdisjoint(delta) else read_reasoning(delta)
        logprobs = choice.get("logprobs")
        deltas += read_content(delta.get("content"), read_logprobs(logprobs) if logprobs else ())
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            deltas.append(ContentDelta(refusal, refusal=True))
        if not _CALL_FIELDS.isdisjoint(delta):
            deltas += self._calls.read_calls(find_calls(delta))
        if "provider_specific_fields" in delta:
            deltas = sign_last(deltas, find_signature(delta))
        self._count_output(deltas)
        return deltas
