"""What the fake upstream is told to answer, in terms of no protocol: an answer, its pieces, a failure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Json = Mapping[str, Any]

DEFAULT_PIECES: Final = ("Hello", " world")
DEFAULT_USAGE: Final[Json] = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
"""Usage is told in OpenAI's words; other dialects also know `cache_creation_tokens` among the prompt's details."""
UPSTREAM_SECRET: Final = "upstream-secret-7f3a"
"""Found in every default error text; it must never reach a caller, a log or a span."""

DEFAULT_ERROR: Final[Json] = {
    "message": f"The server had an error ({UPSTREAM_SECRET})",
    "type": "server_error",
    "param": None,
    "code": 500,
}


@dataclass(frozen=True)
class FakeToolCall:
    """A tool call of the answer; its first delta carries id, name and the first piece of the arguments."""

    id: str
    name: str
    arguments: str | Sequence[str] = "{}"
    """One string is one delta, several are as many. Gemini sends them as one, so they must be JSON together."""
    indexed: bool = True
    """Some servers of the OpenAI protocol leave `index` out of the deltas."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """The arguments as they are streamed."""
        return (self.arguments,) if isinstance(self.arguments, str) else tuple(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of a streamed answer. Pieces of one kind in a row are a block; a tool call is a block of its own."""

    kind: Literal["reasoning", "redacted", "content", "refusal", "tool_call"]
    text: str
    block: int
    begins: bool
    """Whether it is the first piece of its block."""
    logprob: float | None = None
    signature: str | None = None
    """Of the reasoning that ends here, or of the tool call that begins here."""
    call: FakeToolCall | None = None
    call_index: int = 0


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A well-formed answer. In order: reasoning, redacted, content, refusal, tool calls, finish, usage."""

    content: Iterable[str] = ()
    """May be endless when it is streamed and not ended."""
    reasoning: Sequence[str] = ()
    reasoning_signature: str | None = None
    """Anthropic's comes with the last piece of reasoning, Gemini's with the finish."""
    redacted_reasoning: Sequence[str] = ()
    """Each is a block of its own; Gemini has none."""
    refusal: str | None = None
    tool_calls: Sequence[FakeToolCall] = ()
    tool_signature: str | None = None
    """Stands at the first tool call; Anthropic has none."""
    finish_reason: str | None = "auto"
    """"stop", "length", "tool_calls" and "content_filter" are each protocol's own word for it, others go as they are;
    "auto" follows from the answer; None leaves out whatever ends an answer in the protocol."""
    usage: Json | Literal["null"] | None = field(default_factory=lambda: DEFAULT_USAGE)
    """"null" sends a null in the place of the usage, None nothing at all."""
    logprobs: Sequence[float] | None = None
    """One number for each content piece; in the OpenAI protocol only."""
    model: str = "fake"
    reasoning_field: str = "reasoning_content"
    """In the OpenAI protocol."""
    extra: Json = field(default_factory=dict)
    """Added to every chunk, or to the completion, or to Anthropic's message; may overwrite, such as `id`."""

    def pieces(self) -> Iterator[Piece]:
        """The answer as it is streamed."""
        block = 0
        for pieces in self._blocks():
            begins = True
            for piece in pieces:
                yield Piece(**piece, block=block, begins=begins)
                begins = False
            block += not begins

    def tokens(self, name: str, details: str = "") -> int:
        """A number of the usage, 0 if it is not there."""
        usage: Any = {} if self.usage == "null" or self.usage is None else self.usage
        return int(((usage.get(details) or {}) if details else usage).get(name) or 0)

    def _blocks(self) -> Iterator[Iterable[dict[str, Any]]]:
        yield self._reasoning()
        for text in self.redacted_reasoning:
            yield [{"kind": "redacted", "text": text}]
        yield self._content()
        yield [{"kind": "refusal", "text": self.refusal}] if self.refusal is not None else []
        for index, call in enumerate(self.tool_calls):
            yield self._call(index, call)

    def _reasoning(self) -> Iterator[dict[str, Any]]:
        for position, text in enumerate(self.reasoning, 1):
            signature = self.reasoning_signature if position == len(self.reasoning) else None
            yield {"kind": "reasoning", "text": text, "signature": signature}

    def _content(self) -> Iterator[dict[str, Any]]:
        for position, text in enumerate(self.content):
            yield {"kind": "content", "text": text, "logprob": self.logprobs[position] if self.logprobs else None}

    def _call(self, index: int, call: FakeToolCall) -> Iterator[dict[str, Any]]:
        for position, text in enumerate(call.pieces):
            signature = self.tool_signature if index == position == 0 else None
            yield {"kind": "tool_call", "text": text, "signature": signature, "call": call, "call_index": index}


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An HTTP error; what is None follows from the code, one of OpenAI's well-known ones, or else from the status."""

    status: int
    code: str | None = None
    error_type: str | None = None
    message: str | None = None

    def text(self, by_code: Mapping[str, str]) -> str:
        """The message, or the protocol's own for this code, or one that tells the status."""
        if self.message is not None:
            return self.message
        return f"{by_code.get(self.code or '', f'The request failed with {self.status}.')} ({UPSTREAM_SECRET})"


def numbered(count: int) -> tuple[str, ...]:
    """`count` pieces of text, no two alike: "word0 ", "word1 ", and so on."""
    return tuple(f"word{number} " for number in range(count))
