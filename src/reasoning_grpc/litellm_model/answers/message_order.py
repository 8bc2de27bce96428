"""`MessageOrder`: checks that the events of one message of Anthropic's come in their order."""

from dataclasses import dataclass, field
from enum import Enum, auto

from reasoning_grpc.litellm_model.answers.errors import MalformedAnswer


class _State(Enum):
    """How far a message has come."""

    START = auto()
    BLOCKS = auto()
    FINISHED = auto()


@dataclass(slots=True)
class MessageOrder:
    """Takes the events of a message: its start, its blocks one after another, and its finish.

    What the provider may leave out is not needed: the end of a block, and the finish of a message that has only usage
    so far. The next block ends the one before it. Each method raises MalformedAnswer for an event that may not come
    now.
    """

    _state: _State = _State.START
    _id: object = None
    _is_repeated: bool = False
    _open_blocks: set[object] = field(default_factory=set)
    """The blocks whose end has not come."""
    _last_block: object = None
    _seen_blocks: set[object] = field(default_factory=set)

    def start_message(self, message_id: object) -> bool:
        """Returns whether a message starts; False if its start is only repeated, with the same id."""
        if self._state is _State.START:
            self._state, self._id = _State.BLOCKS, message_id
            return True
        if message_id and message_id == self._id:
            self._is_repeated = True
            return False
        raise MalformedAnswer("a second message began in the same stream")

    def start_block(self, index: object) -> None:
        """Begins a block."""
        self._expect(_State.BLOCKS)
        if index in self._open_blocks or (self._is_repeated and index in self._seen_blocks):
            raise MalformedAnswer(
                "a block began that is open already, or that was sent before its message was repeated"
            )
        self._open_blocks.add(index)
        self._seen_blocks.add(index)
        self._last_block = index

    def is_last(self, index: object) -> bool:
        """Whether this is the block that began last."""
        return index == self._last_block

    def continue_block(self, index: object, *, may_be_earlier: bool = False) -> None:
        """Continues the last block, or also an earlier one that is open, where its deltas show what they belong to."""
        self._expect(_State.BLOCKS)
        if index not in self._open_blocks or not (may_be_earlier or index == self._last_block):
            raise MalformedAnswer("a delta belongs to no open block, or not to the last one")

    def stop_block(self, index: object) -> None:
        """Ends a block, which may be an earlier one."""
        self._expect(_State.BLOCKS)
        if index not in self._open_blocks:
            raise MalformedAnswer("a block ended that is not open")
        self._open_blocks.remove(index)

    def update_message(self, *, is_finished: bool) -> None:
        """Takes a part of the message's end, with or without the reason why it finished."""
        if self._state is _State.START:
            raise MalformedAnswer("a message ended that had not begun")
        if is_finished:
            self._state = _State.FINISHED

    def stop_message(self) -> bool:
        """Ends the message; returns whether the reason why it finished has come."""
        self.update_message(is_finished=False)
        return self._state is _State.FINISHED

    def _expect(self, state: _State) -> None:
        if self._state is not state:
            raise MalformedAnswer("a block came before the start of its message, or after its finish")
