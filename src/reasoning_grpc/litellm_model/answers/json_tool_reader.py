"""`JsonToolReader`: reads an answer that a model writes as the arguments of a forced tool call, as text."""

from dataclasses import dataclass

from reasoning_grpc.domain import FinishReason
from reasoning_grpc.domain.events import ContentDelta, Delta, ToolCallDelta
from reasoning_grpc.litellm_model.answers.reader import AnswerReader


@dataclass(slots=True)
class JsonToolReader(AnswerReader):
    """Reads the arguments of the call as the text of the answer, which then ends like a text."""

    def read_answer(self, answer: object) -> list[Delta]:
        """See `AnswerReader.read_answer`."""
        deltas = AnswerReader.read_answer(self, answer)
        return [ContentDelta(delta.arguments) if isinstance(delta, ToolCallDelta) else delta for delta in deltas]

    def _record_part(self, part_id: object, deltas: list[Delta], word: object) -> None:
        AnswerReader._record_part(self, part_id, deltas, word)
        if self.finish_reason is FinishReason.TOOL_CALLS:
            self.finish_reason = FinishReason.STOP
