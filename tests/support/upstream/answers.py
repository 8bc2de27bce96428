"""The answers and failures of the fake upstream, described without any protocol."""

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
"""The usage has OpenAI's names; other dialects also read `cache_creation_tokens` from the details of the prompt."""
UPSTREAM_SECRET: Final = "upstream-secret-7f3a"
"""Every default error text contains it; it must never reach a caller, a log or a span."""

DEFAULT_ERROR: Final[Json] = {
    "message": f"The server had an error ({UPSTREAM_SECRET})",
    "type": "server_error",
    "param": None,
    "code": 500,
}


@dataclass(frozen=True)
class FakeToolCall:
    """A tool call of the answer; its first delta has the id, the name and the first part of the arguments."""

    id: str
    name: str
    arguments: str | Sequence[str] = "{}"
    """Each string is one delta. Gemini sends all of them at once, so together they must be JSON."""
    indexed: bool = True
    """Whether the deltas have an `index`, which some servers of the OpenAI protocol leave out."""

    @property
    def pieces(self) -> tuple[str, ...]:
        """Returns the arguments as they are streamed."""
        return (self.arguments,) if isinstance(self.arguments, str) else tuple(self.arguments)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A delta of a streamed answer. Successive deltas of one kind form a block; each tool call is its own block."""

    kind: Literal["reasoning", "redacted", "content", "refusal", "tool_call"]
    text: str
    block: int
    begins: bool
    """Whether it is the first delta of its block."""
    logprob: float | None = None
    signature: str | None = None
    """The signature of the reasoning that ends here, or of the tool call that begins here."""
    call: FakeToolCall | None = None
    call_index: int = 0


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A valid answer: reasoning, redacted reasoning, content, refusal, tool calls, finish and usage, in this order."""

    content: Iterable[str] = ()
    """The deltas of the text. They may be endless in a stream that never ends."""
    reasoning: Sequence[str] = ()
    reasoning_signature: str | None = None
    """Anthropic sends it with the last delta of reasoning, Gemini with the finish."""
    redacted_reasoning: Sequence[str] = ()
    """Each string is its own block; Gemini has none."""
    refusal: str | None = None
    tool_calls: Sequence[FakeToolCall] = ()
    tool_signature: str | None = None
    """The first tool call has it; Anthropic has none."""
    finish_reason: str | None = "auto"
    """Each protocol translates "stop", "length", "tool_calls" and "content_filter", and sends other words unchanged.
    "auto" is derived from the answer; None leaves out everything that ends an answer in the protocol."""
    usage: Json | Literal["null"] | None = field(default_factory=lambda: DEFAULT_USAGE)
    """With "null" the usage is a JSON null; with None there is no usage."""
    logprobs: Sequence[float] | None = None
    """One number for each delta of content; only the OpenAI protocol has them."""
    model: str = "fake"
    reasoning_field: str = "reasoning_content"
    """The name of the field that has the reasoning in the OpenAI protocol."""
    extra: Json = field(default_factory=dict)
    """Fields that are added to every chunk, to the completion, or to Anthropic's message; they may overwrite others."""

    def pieces(self) -> Iterator[Piece]:
        """Yields the deltas of the answer."""
        block = 0
        for pieces in self._blocks():
            begins = True
            for piece in pieces:
                yield Piece(**piece, block=block, begins=begins)
                begins = False
            block += not begins

    def tokens(self, name: str, details: str = "") -> int:
        """Returns a number of the usage, or 0 without it."""
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
    """An HTTP error. A field that is None is derived from the code, which is one of OpenAI's, or from the status."""

    status: int
    code: str | None = None
    error_type: str | None = None
    message: str | None = None

    def text(self, by_code: Mapping[str, str]) -> str:
        """Returns the message, or the protocol's own message for this code, or one that contains the status."""
        if self.message is not None:
            return self.message
        return f"{by_code.get(self.code or '', f'The request failed with {self.status}.')} ({UPSTREAM_SECRET})"


def numbered(count: int) -> tuple[str, ...]:
    """Returns this many different deltas of text: "word0 ", "word1 ", and so on."""
    return tuple(f"word{number} " for number in range(count))
