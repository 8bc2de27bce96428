"""`ConverseOrder`: checks that the events of one answer of Bedrock's Converse API come in their order."""

from dataclasses import dataclass, field
from enum import Enum, auto

from reasoning_grpc.litellm_model.answers import MalformedAnswer


class _State(Enum):
    """How far an answer has come."""

    START = auto()
    BLOCKS = auto()
    STOPPED = auto()
    ENDED = auto()


@dataclass(slots=True)
class ConverseOrder:
    """Takes the events of an answer: the start, the blocks one after another, the stop, and the counts.

    A block of text or reasoning has no start of its own, and the stop of a block may be missing. Each method raises
    MalformedAnswer for an event that may not come now.
    """

    _state: _State = _State.START
    _open_block: int | None = None
    _has_open_block: bool = False
    _seen_blocks: set[int | None] = field(default_factory=set)

    def start_message(self) -> None:
        """Begins the answer."""
        if self._state is not _State.START:
            raise MalformedAnswer("a second answer began in the same stream")
        self._state = _State.BLOCKS

    def start_block(self, index: int | None) -> None:
        """Begins a block."""
        self._expect_blocks()
        if self._is_open(index):
            raise MalformedAnswer("a block began that is open already")
        self._open_block, self._has_open_block = index, True
        self._seen_blocks.add(index)

    def continue_block(self, index: int | None, *, may_begin: bool) -> bool:
        """Continues a block, or begins a new one where the delta may do so; returns whether it has begun one."""
        self._expect_blocks()
        if self._is_open(index):
            return False
        if index in self._seen_blocks or not may_begin:
            raise MalformedAnswer("a delta belongs to no open block")
        self.start_block(index)
        return True

    def stop_block(self, index: int | None) -> None:
        """Ends a block, which may be empty."""
        self._expect_blocks()
        if not self._is_open(index) and index in self._seen_blocks:
            raise MalformedAnswer("a block ended that is not open")
        self._seen_blocks.add(index)
        self._has_open_block = self._has_open_block and not self._is_open(index)

    def stop_message(self) -> None:
        """Ends the content."""
        self._expect_blocks()
        self._state = _State.STOPPED

    def end(self) -> None:
        """Ends the answer."""
        if self._state is not _State.STOPPED:
            raise MalformedAnswer("the counts came before the answer had stopped")
        self._state = _State.ENDED

    def _is_open(self, index: int | None) -> bool:
        return self._has_open_block and index == self._open_block

    def _expect_blocks(self) -> None:
        if self._state is not _State.BLOCKS:
            raise MalformedAnswer("an event came before the start of its answer, or after its stop")
