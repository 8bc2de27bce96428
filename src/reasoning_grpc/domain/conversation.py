"""A conversation: messages and the parts they are made of."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


@dataclass(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, sound or document, by exactly one of `uri` and `data`."""

    mime_type: str
    uri: str = ""
    data: bytes = b""
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The model's own reasoning: in words, or withheld by the provider as opaque bytes."""

    text: str = ""
    redacted: bytes = b""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A model's wish to have a tool called."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it: not checked."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool call gave."""

    call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's words for declining to answer."""

    text: str


PartContent = Text | Media | Reasoning | ToolCall | ToolResult | Refusal


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message."""

    content: PartContent
    signature: str = ""
    """The provider's opaque signature of this part, to be sent back unchanged."""
    cache: bool = False
    """Whether the conversation up to here is worth caching."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation; the order of its parts matters."""

    role: Role
    content: tuple[Part, ...]
    name: str = ""

    def with_words(self, words: str) -> "Message":
        """The message with these words at its end: in its last text if it ends with one, as many servers want."""
        match self.content:
            case (*others, Part(content=Text(text=text), signature="") as last):
                return replace(self, content=(*others, replace(last, content=Text(f"{text}\n\n{words}"))))
            case _:
                return replace(self, content=(*self.content, Part(Text(words))))
