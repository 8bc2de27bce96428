"""`decode_block_delta`: decodes the most frequent events of an answer of Anthropic's, deltas of blocks of a message.

Bursts have thousands of them, nearly all in a form that is always the same. An event of any other form does not fit
the types here, and is left to whoever reads it member by member.
"""

from typing import Final, Literal

import msgspec


class TextDelta(msgspec.Struct, tag_field="type", tag="text_delta", gc=False):
    """A delta of a text."""

    text: str


class ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta", gc=False):
    """A delta of reasoning."""

    thinking: str


class SignatureDelta(msgspec.Struct, tag_field="type", tag="signature_delta", gc=False):
    """The signature of reasoning."""

    signature: str


class InputDelta(msgspec.Struct, tag_field="type", tag="input_json_delta", gc=False):
    """A delta of the arguments of a call."""

    partial_json: str


class BlockDelta(msgspec.Struct, gc=False):
    """An event with a delta of a block."""

    type: Literal["content_block_delta"]  # a tag would be optional, since there is no other class to tell it from
    index: int
    delta: TextDelta | ThinkingDelta | SignatureDelta | InputDelta
    error: None = None


decode_block_delta: Final = msgspec.json.Decoder(BlockDelta).decode
"""Decodes the delta in an event; see `decode_frequent`."""
