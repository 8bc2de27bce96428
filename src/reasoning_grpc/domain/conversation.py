"""A conversation: its messages, and the parts of a message."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Role(StrEnum):
    """The author of a message."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


@dataclass(frozen=True, slots=True)
class Text:
    """Text."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, audio or a document. Exactly one of `uri` and `data` is set."""

    mime_type: str
    uri: str = ""
    data: bytes = b""
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The model's own reasoning: as text, or as opaque bytes when the provider withholds the text."""

    text: str = ""
    redacted: bytes = b""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model requests."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it. It is not checked."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call."""

    call_id: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The text in which the model declines to answer."""

    text: str


PartContent = Text | Media | Reasoning | ToolCall | ToolResult | Refusal


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message."""

    content: PartContent
    signature: str = ""
    """The provider's opaque signature of this part. It must be sent back unchanged."""
    cache: bool = False
    """Whether the provider should cache the conversation up to the end of this part."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. The order of its parts matters."""

    role: Role
    content: tuple[Part, ...]
    name: str = ""

    def append_text(self, text: str) -> "Message":
        """Returns a copy of the message that ends with this text.

        The text is added to the last part if that is an unsigned text, because many servers accept only one text.
        """
        match self.content:
            case (*others, Part(content=Text(text=end), signature="") as last):
                return replace(self, content=(*others, replace(last, content=Text(f"{end}\n\n{text}"))))
            case _:
                return replace(self, content=(*self.content, Part(Text(text))))
