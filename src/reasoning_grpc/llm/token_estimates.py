"""Tokens of a prompt, by whatever counts those of a text."""

import string
from collections.abc import Callable, Iterator
from typing import Final

from reasoning_grpc.domain import (
    Media,
    Message,
    Part,
    Reasoning,
    Tool,
    ToolCall,
    ToolResult,
    estimated_tokens,
    text_bytes,
)
from reasoning_grpc.llm.port import ModelCall

_AROUND_MESSAGE: Final = 6
"""Role and delimiters, and a share of what opens the answer: as many as most models have, or more."""
_AROUND_TOOL: Final = 12
"""The words around a tool, a call of one, or its result."""
_IMAGE: Final = 1600
"""About the most that OpenAI's GPT-4o and Anthropic's models count for one."""
_SOUND_BYTES: Final = 128
"""Of sound a token has so many, or more: 32 tokens a second at 32 kbit/s."""
_DOCUMENT_BYTES: Final = 32
"""The same of a document that is not text: 3000 tokens for a page of 100 kB."""
_LETTERS: Final = (string.ascii_letters + " ").encode()
_DIGITS: Final = string.digits.encode()
_LETTERS_A_TOKEN: Final = 3
_OTHER_BYTES_A_TOKEN: Final = 2


def prompt_tokens(call: ModelCall, tokens_in: Callable[[str], int]) -> int:
    """Tokens of the call's prompt, where `tokens_in` counts those of a text: the sum of those of its parts.

    What stands around texts, and media, are estimated. With `text_bytes` for `tokens_in` it is more than any
    tokenizer makes of the prompt.
    """
    return sum(_message_tokens(message, tokens_in) for message in call.messages) + _frame_tokens(call, tokens_in)


def estimated_text_tokens(text: str) -> int:
    """Tokens that a text may have: one for each four bytes. Few texts have fewer, many more."""
    return estimated_tokens(text_bytes(text))


def cautious_text_tokens(text: str) -> int:
    """As many tokens as most tokenizers make of a text, or more.

    One for each three letters or spaces of ASCII, one for each digit, one for each two of all other bytes. Measured on
    prose, code, numbers in JSON, German, Russian and Chinese: more than OpenAI's and an old one of Anthropic make, and
    up to an eighth less than a small model's. Only random letters have more everywhere.
    """
    data = text.encode(errors="replace")
    beside_letters = data.translate(None, _LETTERS)
    others = beside_letters.translate(None, _DIGITS)
    letters, digits = len(data) - len(beside_letters), len(beside_letters) - len(others)
    return -(-letters // _LETTERS_A_TOKEN) + digits + -(-len(others) // _OTHER_BYTES_A_TOKEN)


def _message_tokens(message: Message, tokens_in: Callable[[str], int]) -> int:
    texts = [text for part in message.content for text in _texts(part)]
    if message.name:
        texts.append(message.name)
    # As one text, for each costs a tokenizer a call.
    return _AROUND_MESSAGE + tokens_in("\n".join(texts)) + sum(map(_wordless_tokens, message.content))


def _frame_tokens(call: ModelCall, tokens_in: Callable[[str], int]) -> int:
    """Tokens of all but the messages."""
    texts = [text for tool in call.tools for text in _tool_texts(tool)]
    if call.response_format is not None:
        texts += (call.response_format.name, call.response_format.description, call.response_format.schema)
    return _AROUND_TOOL * len(call.tools) + (tokens_in("\n".join(texts)) if texts else 0)


def _tool_texts(tool: Tool) -> tuple[str, str, str]:
    return tool.name, tool.description, tool.parameters_schema


def _texts(part: Part) -> Iterator[str]:
    match part.content:
        case Media():
            pass
        case ToolCall(name=name, arguments=arguments):
            yield from (name, arguments)
        case ToolResult(content=content):
            yield content
        case content:
            yield content.text


def _wordless_tokens(part: Part) -> int:
    """Tokens of what is no text."""
    match part.content:
        case Media() as media:
            return _media_tokens(media)
        case Reasoning(redacted=redacted):
            return estimated_tokens(len(redacted))
        case ToolCall() | ToolResult():
            return _AROUND_TOOL
        case _:
            return 0


def _media_tokens(media: Media) -> int:
    match media.mime_type.partition("/")[0]:
        case "image":
            return _IMAGE
        case "audio":
            return -(-len(media.data) // _SOUND_BYTES)
        case "text":
            return estimated_tokens(len(media.data))
        case _:
            return -(-len(media.data) // _DOCUMENT_BYTES)
