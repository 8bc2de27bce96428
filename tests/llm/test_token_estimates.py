"""How many tokens the parts of a prompt are estimated to have."""

from typing import Any, Final

import pytest
from msgspec.structs import replace

from reasoning_grpc.domain import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)
from reasoning_grpc.llm.port import ModelCall
from reasoning_grpc.llm.token_estimates import estimate_text_tokens, sum_prompt_tokens
from tests.support.factories import a_call, a_message


def estimate_tokens(call: ModelCall) -> int:
    """Counts one token for each four bytes."""
    return sum_prompt_tokens(call, estimate_text_tokens)


PARTS: Final[list[Any]] = [
    pytest.param(Text("four" * 10), 10, id="text"),
    pytest.param(ToolCall("1", "four", "four"), 12 + 3, id="tool call"),
    pytest.param(ToolResult("1", "four" * 10), 12 + 10, id="tool result"),
    pytest.param(Reasoning("four" * 10), 10, id="reasoning"),
    pytest.param(Reasoning(redacted=b"four" * 10), 10, id="withheld reasoning"),
    pytest.param(Refusal("four" * 10), 10, id="refusal"),
    pytest.param(Media("image/png", data=b"x" * 100_000), 1600, id="image"),
    pytest.param(Media("image/png", uri="https://example.com/" + "x" * 1000), 1600, id="image by its address"),
    pytest.param(Media("audio/wav", data=b"x" * 1280), 10, id="sound"),
    pytest.param(Media("text/plain", data=b"x" * 40), 10, id="text document"),
    pytest.param(Media("application/pdf", data=b"x" * 320), 10, id="document"),
]


@pytest.mark.parametrize(("content", "tokens"), PARTS)
def test_the_tokens_of_a_part(content: Any, tokens: int) -> None:
    """A part has one token for each four bytes, more around it, and six around its message.

    Media are counted by size.
    """
    call = a_call(messages=(Message(Role.ASSISTANT, (Part(content),)),))

    assert estimate_tokens(call) == 6 + tokens


def test_the_tokens_of_the_rest_of_a_prompt() -> None:
    """Tools, the schema of the answer and a message's name are counted, and the whole is the sum of its parts."""
    call = a_call(
        messages=(replace(a_message("four"), name="four"),),
        tools=(Tool("four", "four", "four" * 6),),
        response_format=ResponseFormat(ResponseFormatKind.JSON_SCHEMA, "four", "four" * 5, "four"),
    )

    assert estimate_tokens(replace(call, messages=())) == 12 + 8 + 7 + 2  # the last for what separates them
    assert estimate_tokens(replace(call, tools=(), response_format=None)) == 6 + 3
    assert estimate_tokens(call) == 29 + 9
