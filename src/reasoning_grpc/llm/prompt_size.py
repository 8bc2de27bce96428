"""`PromptSize`: the size of a prompt that grows, counted as it grows."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from reasoning_grpc.domain import Message, count_bytes, estimate_tokens
from reasoning_grpc.llm.port import ModelCall, count_message_bytes, count_prompt_bytes
from reasoning_grpc.llm.token_estimates import count_message_tokens, sum_prompt_tokens


class PromptSize:
    """The size of a prompt to which messages are only added.

    It counts each message once. If it counted the whole prompt for each call, every call would cost more than the one
    before it.
    """

    def __init__(self, call: ModelCall) -> None:
        """`call` has everything of the prompt but its messages, which `count` counts."""
        frame = replace(call, messages=())
        self._text_bytes = count_prompt_bytes(frame)
        self._most_tokens = sum_prompt_tokens(frame, count_bytes)
        self._counted = 0
        """The number of messages that are counted."""
        self._tokens: dict[tuple[str, int], tuple[int, Message]] = {}
        """The tokens of messages by model and identity. The messages are kept, so that no other gets their identity."""

    @property
    def most_tokens(self) -> int:
        """More tokens than any tokenizer counts: what `sum_prompt_tokens` returns for bytes."""
        return self._most_tokens

    def count(self, messages: Sequence[Message]) -> None:
        """Counts the messages that were added since the last time; `messages` are all of the prompt."""
        for message in messages[self._counted :]:
            self._text_bytes += count_message_bytes(message)
            self._most_tokens += count_message_tokens(message, count_bytes)
        self._counted = len(messages)

    def count_tokens(self, count: Callable[[ModelCall], int], call: ModelCall) -> int:
        """Returns the tokens of a call as `count` counts them for its model. A call of one message is counted once."""
        if len(call.messages) != 1:
            return count(call)
        (message,) = call.messages
        key = call.model, id(message)
        if key not in self._tokens:
            self._tokens[key] = count(call), message
        return self._tokens[key][0]

    def estimate_tokens(self) -> int:
        """Returns what `estimate_prompt_tokens` returns for the call with these messages."""
        return estimate_tokens(self._text_bytes)
