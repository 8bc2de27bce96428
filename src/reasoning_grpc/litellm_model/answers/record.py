"""`AnswerRecord`: what is known of one answer so far, whichever protocol its events have."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reasoning_grpc.domain import FinishReason, Usage, count_bytes
from reasoning_grpc.domain.events import Delta, ToolCallDelta
from reasoning_grpc.litellm_model.answers.errors import ErrorInAnswer, MalformedAnswer
from reasoning_grpc.litellm_model.answers.joining import join_deltas
from reasoning_grpc.litellm_model.answers.usage import convert_usage, has_counts, merge_usage


@dataclass(slots=True)
class AnswerRecord(ABC):
    """The finish reason and the usage of one answer. A reader of a protocol fills it, event by event."""

    finish_reason: FinishReason | None = None
    """None until the upstream has sent one."""
    provider_finish_reason: str = ""
    """The finish reason in the provider's own word."""
    has_answer: bool = False
    """Whether any delta or finish reason came, or an event that begins a response, so that it is more than nothing."""
    uncounted_bytes: int = 0
    """The length of what has arrived since the upstream counted last."""
    _usage: Mapping[str, Any] = field(default_factory=dict)
    _output_bytes: int = 0

    @abstractmethod
    def read(self, event: bytes) -> list[Delta]:
        """Returns the deltas of one event. Raises MalformedAnswer and ErrorInAnswer."""

    def read_batch(self, events: list[bytes]) -> tuple[list[Delta], Exception | None]:
        """Returns the deltas before the first event that cannot be read, so that they are not lost, and why it cannot.

        What follows the end of the answer is not read.
        """
        deltas: list[Delta] = []
        try:
            for event in events:
                if self.is_ended:
                    break
                deltas += self.read(event)
        except (MalformedAnswer, ErrorInAnswer) as exc:
            return deltas, exc
        return deltas, None

    def read_whole(self, body: bytes) -> list[Delta]:
        """Returns the deltas of an answer that is not streamed. Raises MalformedAnswer and ErrorInAnswer."""
        return self.read(body)

    def join(self, deltas: list[Delta]) -> list[Delta]:
        """Returns the deltas that one network read brought, with neighbours of one kind joined."""
        return join_deltas(deltas)

    @property
    def is_finished(self) -> bool:
        """Whether the finish reason has arrived, and is the last thing but usage."""
        return self.finish_reason is not None

    @property
    def is_ended(self) -> bool:
        """Whether the answer has ended, so that nothing more of it may follow."""
        return False

    @property
    def has_usage(self) -> bool:
        """Whether there is anything to count: a delta of the answer, or the upstream's own numbers."""
        return self.has_answer or bool(self._find_usage())

    @property
    def has_counts(self) -> bool:
        """Whether the upstream has counted anything."""
        return has_counts(self._find_usage())

    def build_usage(self, estimated_input_tokens: int) -> Usage:
        """Returns the upstream's counts, with estimates for those that it left out.

        Of an answer without an end, what came after the last count is estimated.
        """
        return convert_usage(
            self._find_usage(),
            estimated_input_tokens=estimated_input_tokens,
            output_bytes=self._output_bytes,
            uncounted_bytes=self.uncounted_bytes if self.finish_reason is None else 0,
        )

    def _find_usage(self) -> Mapping[str, Any]:
        """Returns the counts of the upstream so far, in the fields of the OpenAI protocol."""
        return self._usage

    def _record_usage(self, usage: Mapping[str, Any]) -> None:
        if usage:
            self._usage = merge_usage(self._usage, usage)
            self.uncounted_bytes = 0

    def _count_output(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            size = _count_bytes(delta)
            self._output_bytes += size
            self.uncounted_bytes += size


def _count_bytes(delta: Delta) -> int:
    """Returns the length of what a model generated for this delta."""
    if isinstance(delta, ToolCallDelta):
        return count_bytes(delta.name) + count_bytes(delta.arguments)
    return count_bytes(delta.text)
