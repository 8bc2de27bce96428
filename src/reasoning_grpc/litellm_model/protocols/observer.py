"""`Observer`: what the upstream itself reports in an answer that litellm reads.

litellm invents a finish reason where there is none, renames most of them, makes a 500
of every error in a stream, counts tokens itself where nobody else did, and breaks on
a null. So an observer of the provider's protocol sees each event first, and changes what
litellm would misread. What litellm makes of the text is left to litellm.
"""

import json
from dataclasses import dataclass, field
from typing import ClassVar, Final

from reasoning_grpc.litellm_model.answers import (
    GenerationCheck,
    MalformedAnswer,
    check_finish_word,
    decode_part,
    read_choice,
)
from reasoning_grpc.litellm_model.lenient import Json

PLACEHOLDER_TOKENS: Final = 1
"""A count of tokens that is put into events for litellm, and that nobody reads.

Without any count, litellm runs a tokenizer over prompt and answer at the end of each call.
"""


@dataclass(slots=True)
class Observer:
    """Sees the JSON events of one answer, in order. This one knows no protocol, only the form of an error."""

    knows_protocol: ClassVar[bool] = False
    """Whether it recognizes the end of an answer, so that its finish reason is final."""
    is_binary: ClassVar[bool] = False
    """Whether litellm reads the answer as Amazon's binary event stream, whose events have names.

    Each event is then an object whose only member is the payload, under the event's name.
    """
    provider_finish_reason: str = ""
    """Why the answer ended, in the provider's own word; empty until the provider has sent it."""
    usage: Json = field(default_factory=dict)
    """The usage that the provider has counted so far, in the fields of the OpenAI protocol."""
    text_length: int = 0
    """Characters of text in the answer so far: none of it may be lost."""
    is_ended: bool = False
    """Whether the provider has said that the answer ends; what follows is not read."""
    counted_text_length: int = 0
    """Characters of text that had arrived when the provider counted last."""
    has_events: bool = False
    """Whether it saw any event; an answer that litellm reads as a whole may have none."""
    has_failed: bool = False
    """Whether the answer broke off, or could not be read, before litellm had it."""
    _generations: GenerationCheck = field(default_factory=GenerationCheck)
    _goes_on: bool = False
    """Whether content has followed a finish reason."""

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived, and is the last thing but usage."""
        return bool(self.provider_finish_reason) and not self._goes_on

    def observe_event(self, event: bytes) -> list[bytes]:
        """Records one event and returns it in the form for litellm, which may be several events.

        Raises MalformedAnswer and ErrorInAnswer.
        """
        self.has_events = True
        part = decode_part(event)
        read_choice(part)
        counted = self.usage.copy()
        parts = self._observe(part)
        if self.usage != counted:
            self.counted_text_length = self.text_length
        return [encode_line(rewritten) for rewritten in parts]

    def observe_whole(self, body: bytes) -> list[bytes]:
        """Converts a body that is not streamed to the events of a stream. Raises MalformedAnswer and ErrorInAnswer."""
        self.observe_event(body)
        raise MalformedAnswer("the answer is not a stream")

    def complete_whole(self, body: bytes) -> bytes:
        """Returns a body that litellm reads whole, with the members without which litellm would break."""
        return body

    def _observe(self, answer: Json) -> list[Json]:
        """Records one event, already decoded, and returns it for litellm. Raises MalformedAnswer and ErrorInAnswer."""
        return [answer]

    def _record_part(self, part_id: object, *, has_content: bool, finish_word: object) -> None:
        """Records a part of an answer that may have content, a finish reason, or both.

        Raises MalformedAnswer where a second answer begins, and ErrorInAnswer for a word that reports a failure.
        """
        self._generations.check(part_id, has_content=has_content, has_finish=bool(finish_word))
        self._goes_on = self._goes_on or (has_content and bool(self.provider_finish_reason))
        self._record_finish(finish_word)

    def _record_finish(self, word: object) -> None:
        """Records a finish reason, if it is one. Raises ErrorInAnswer for a word that reports a failure."""
        if not isinstance(word, str) or not word:
            return
        check_finish_word(word)
        self.provider_finish_reason = word

    def _record_text(self, text: object) -> str:
        """Records a delta of text and returns it; null counts as empty. Raises MalformedAnswer."""
        if not isinstance(text, str | None):
            raise MalformedAnswer("a text has another type")
        self.text_length += len(text or "")
        return text or ""


def encode_line(answer: Json) -> bytes:
    """Returns the JSON as one line, whatever counts as a line end, without the `[DONE]` that ends litellm's reading."""
    return json.dumps(answer).replace("[DONE]", "\\u005bDONE]").encode()
