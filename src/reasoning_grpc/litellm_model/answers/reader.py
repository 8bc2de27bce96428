"""`AnswerReader`: reads the JSON events of one answer of the OpenAI protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta
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
from reasoning_grpc.litellm_model.answers.plain_chunks import read_plain_texts
from reasoning_grpc.litellm_model.answers.record import AnswerRecord
from reasoning_grpc.litellm_model.answers.reported_errors import decode_part, read_choice
from reasoning_grpc.litellm_model.answers.tool_calls import ToolCallReader, find_calls
from reasoning_grpc.litellm_model.answers.usage import find_usage

_REASONING_FIELDS: Final = frozenset({"reasoning_content", "reasoning", "thinking_blocks", "reasoning_details"})
_MOST_OTHER_EVENTS: Final = 16
"""After so many events that are no plain chunks, we expect none: the server writes its chunks in another form."""
_CALL_FIELDS: Final = frozenset({"tool_calls", "function_call"})


@dataclass(slots=True)
class AnswerReader(AnswerRecord):
    """Reads the JSON events of one answer, in order. `[DONE]`, or the end of the body, ends this protocol's stream."""

    _calls: ToolCallReader = field(default_factory=ToolCallReader)
    _generations: GenerationCheck = field(default_factory=GenerationCheck)
    _other_events: int = 0
    """The events since the last chunk of plain text."""
    _goes_on: bool = False
    """Whether content has followed a finish reason."""

    def read_batch(self, events: list[bytes]) -> tuple[list[Delta], Exception | None]:
        """See `AnswerRecord.read_batch`. Neighbouring chunks of plain text make one delta."""
        deltas: list[Delta] = []
        position = 0
        try:
            while position < len(events):
                if self._expects_plain_text:
                    texts = read_plain_texts(islice(events, position, None), self._generations.is_continued_by)
                    if texts:
                        deltas.append(ContentDelta("".join(texts)))
                        self._count_output(deltas[-1:])
                    self._other_events = 0 if texts else self._other_events + 1
                    position += len(texts)
                if position < len(events):
                    deltas += self.read(events[position])
                    position += 1
        except (MalformedAnswer, ErrorInAnswer) as exc:
            return deltas, exc
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
        word = choice.get("finish_reason")
        self._generations.check(answer.get("id"), has_content=bool(deltas), has_finish=bool(word))
        if deltas and self.finish_reason is not None:
            self._goes_on = True
        if word:
            self._record_finish(word)
        if self.finish_reason is not None:
            self._check_calls()
        if usage:
            self.uncounted_bytes = 0  # the counts of an event include its deltas
        if deltas or self.finish_reason is not None:
            self.has_answer = True
        return deltas

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived, and is the last thing but usage."""
        return self.finish_reason is not None and not self._goes_on

    @property
    def _expects_plain_text(self) -> bool:
        is_in_text = self._generations.has_begun and self.finish_reason is None
        return is_in_text and self._other_events < _MOST_OTHER_EVENTS

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
        if self.finish_reason is FinishReason.STOP and self._calls.has_calls:
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
