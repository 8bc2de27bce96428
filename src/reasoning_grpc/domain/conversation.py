"""A conversation: its messages, and the parts of a message.

Each kind of content has a tag, by which the state of a paused run writes and reads it.
"""

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Role(StrEnum):
    """The author of a message."""

    SYSTEM = "SYSTEM"
    USER = "USER"
    ASSISTANT = "ASSISTANT"
    TOOL = "TOOL"


class Text(Struct, frozen=True, tag="text"):
    """Text."""

    text: str


class Media(Struct, frozen=True, tag="media"):
    """An image, audio or a document. Exactly one of `uri` and `data` is set."""

    mime_type: str
    uri: str = ""
    data: bytes = b""
    filename: str = ""


class Reasoning(Struct, frozen=True, tag="reasoning"):
    """The model's own reasoning: as text, or as opaque bytes when the provider withholds the text."""

    text: str = ""
    redacted: bytes = b""


class ToolCall(Struct, frozen=True, tag="tool_call"):
    """A tool call that a model requests."""

    id: str
    name: str
    arguments: str
    """JSON text as the model wrote it. It is not checked."""


class ToolResult(Struct, frozen=True, tag="tool_result"):
    """The result of a tool call."""

    call_id: str
    content: str
    is_error: bool = False


class Refusal(Struct, frozen=True, tag="refusal"):
    """The text in which the model declines to answer."""

    text: str


PartContent = Text | Media | Reasoning | ToolCall | ToolResult | Refusal


class Part(Struct, frozen=True):
    """One part of a message."""

    content: PartContent
    signature: str = ""
    """The provider's opaque signature of this part. It must be sent back unchanged."""
    cache: bool = False
    """Whether the provider should cache the conversation up to the end of this part."""


class Message(Struct, frozen=True):
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
