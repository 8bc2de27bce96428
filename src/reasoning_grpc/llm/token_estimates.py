"""Counts the tokens of a prompt, by any function that counts the tokens of a text."""

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
    count_bytes,
    estimate_tokens,
)
from reasoning_grpc.llm.port import ModelCall

_AROUND_MESSAGE: Final = 6
"""Tokens of a message's role and delimiters, and a share of those that open the answer: as many as most models have,
or more."""
_AROUND_TOOL: Final = 12
"""Tokens around a tool, a call of a tool, or its result."""
_IMAGE_TOKENS: Final = 1600
"""About the most tokens that OpenAI's GPT-4o and Anthropic's models count for an image."""
_AUDIO_BYTES_A_TOKEN: Final = 128
"""A token of audio has at least so many bytes: 32 tokens a second at 32 kbit/s."""
_DOCUMENT_BYTES_A_TOKEN: Final = 32
"""A token of a document that is not text has at least so many bytes: 3000 tokens for a page of 100 kB."""
_LETTERS: Final = (string.ascii_letters + " ").encode()
_DIGITS: Final = string.digits.encode()
_LETTERS_A_TOKEN: Final = 3
_OTHER_BYTES_A_TOKEN: Final = 2


def sum_prompt_tokens(call: ModelCall, count_text: Callable[[str], int]) -> int:
    """Returns the tokens of the call's prompt as the sum of its parts; `count_text` counts the tokens of a text.

    Media, and the tokens around texts, are estimated. With `count_bytes` as `count_text`, the sum is more than any
    tokenizer counts.
    """
    return sum(count_message_tokens(message, count_text) for message in call.messages) + _count_frame(call, count_text)


def estimate_text_tokens(text: str) -> int:
    """Returns one token for each four bytes of a text. Few texts have fewer tokens, many have more."""
    return estimate_tokens(count_bytes(text))


def estimate_text_tokens_cautiously(text: str) -> int:
    """Returns as many tokens as most tokenizers count in a text, or more.

    It is one token for each three ASCII letters or spaces, one for each digit, and one for each two of all other
    bytes. Measured on prose, code, numbers in JSON, German, Russian and Chinese, this is more than OpenAI's tokenizers
    and an old one of Anthropic count, and up to an eighth less than that of a small model. Only random letters have
    more tokens everywhere.
    """
    data = text.encode(errors="replace")
    beside_letters = data.translate(None, _LETTERS)
    others = beside_letters.translate(None, _DIGITS)
    letters, digits = len(data) - len(beside_letters), len(beside_letters) - len(others)
    return -(-letters // _LETTERS_A_TOKEN) + digits + -(-len(others) // _OTHER_BYTES_A_TOKEN)


def count_message_tokens(message: Message, count_text: Callable[[str], int]) -> int:
    """Returns the tokens of one message, as `sum_prompt_tokens` counts them."""
    texts = [text for part in message.content for text in _list_texts(part)]
    if message.name:
        texts.append(message.name)
    # All texts are counted as one, because each call of a tokenizer costs time.
    return _AROUND_MESSAGE + count_text("\n".join(texts)) + sum(map(_estimate_nontext, message.content))


def _count_frame(call: ModelCall, count_text: Callable[[str], int]) -> int:
    """Returns the tokens of everything but the messages."""
    texts = [text for tool in call.tools for text in _list_tool_texts(tool)]
    if call.response_format is not None:
        texts += (call.response_format.name, call.response_format.description, call.response_format.schema)
    return _AROUND_TOOL * len(call.tools) + (count_text("\n".join(texts)) if texts else 0)


def _list_tool_texts(tool: Tool) -> tuple[str, str, str]:
    return tool.name, tool.description, tool.parameters_schema


def _list_texts(part: Part) -> Iterator[str]:
    match part.content:
        case Media():
            pass
        case ToolCall(name=name, arguments=arguments):
            yield from (name, arguments)
        case ToolResult(content=content):
            yield content
        case content:
            yield content.text


def _estimate_nontext(part: Part) -> int:
    """Returns the tokens of what is not text, and of what stands around it."""
    match part.content:
        case Media() as media:
            return _estimate_media(media)
        case Reasoning(redacted=redacted):
            return estimate_tokens(len(redacted))
        case ToolCall() | ToolResult():
            return _AROUND_TOOL
        case _:
            return 0


def _estimate_media(media: Media) -> int:
    match media.mime_type.partition("/")[0]:
        case "image":
            return _IMAGE_TOKENS
        case "audio":
            return -(-len(media.data) // _AUDIO_BYTES_A_TOKEN)
        case "text":
            return estimate_tokens(len(media.data))
        case _:
            return -(-len(media.data) // _DOCUMENT_BYTES_A_TOKEN)
