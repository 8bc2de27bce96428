"""The reasoning of a model behind a real llama.cpp server, which separates it from the text by the model's template."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest
import pytest_asyncio

from reasoning_grpc.client import fold
from reasoning_grpc.domain import Wire
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, CompleteResponse, IncludeOptions
from reasoning_grpc.v1.messages_pb2 import ROLE_ASSISTANT, ROLE_USER, Message, Part, Reasoning
from tests.support.llama_server import run_llama_server
from tests.support.serving import RunningServer, config_for, model_entry, serving

# One process serves all tests here.
pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

THOUGHT: Final = "A question about a city, which is the capital of Norway."
GRAMMAR: Final = json.dumps(f'root ::= "<think>\\n{THOUGHT}\\n</think>\\n\\nOslo is old."')
"""The only answer that the model can write."""
QUESTION: Final = Message(role=ROLE_USER, content=[Part(text="What about Oslo?")])
GO_ON: Final = Message(role=ROLE_USER, content=[Part(text="Go on.")])


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server() -> AsyncIterator[RunningServer]:
    """A server in front of llama.cpp, by the prefix for servers of any kind and by those of other servers."""
    async with run_llama_server() as address:
        entries = [
            model_entry(address, prefix, litellm_model=f"{prefix}/smollm2", provider_options=frozenset({"grammar"}))
            for prefix in ("openai", "llamafile", "hosted_vllm")
        ]
        entries.append(replace(entries[0], name="responses", wire=Wire.RESPONSES))
        async with serving(config_for(*entries)) as running:
            yield running


async def ask(server: RunningServer, model: str, *messages: Message, rpc: str = "Complete") -> CompleteResponse:
    """Returns the answer to a conversation, by either RPC."""
    request = CompleteRequest(
        model=model,
        messages=messages,
        include=IncludeOptions(reasoning=True),
        provider_options={"grammar": GRAMMAR},
    )
    if rpc == "Complete":
        return await server.client().complete(request)
    return await fold(server.client().stream(request))


def an_answer(*contents: Any) -> Message:
    """Returns an answer with these parts."""
    return Message(role=ROLE_ASSISTANT, content=contents)


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
@pytest.mark.parametrize("model", ["openai", "llamafile", "hosted_vllm"])
async def test_reasoning_is_apart_from_the_text(server: RunningServer, model: str, rpc: str) -> None:
    """Callers get what llama.cpp found between the tags as reasoning, and the rest as the text."""
    answer = await ask(server, model, QUESTION, rpc=rpc)

    assert [(part.reasoning.text.strip(), part.text) for part in answer.message.content] == [
        (THOUGHT, ""),
        ("", "Oslo is old."),
    ]
    assert answer.provider_finish_reason == "stop"


@pytest.mark.parametrize("model", ["openai", "llamafile", "hosted_vllm"])
async def test_reasoning_goes_back_into_the_template(server: RunningServer, model: str) -> None:
    """The reasoning of an earlier answer reaches the model's template: the prompt has its tokens."""
    thought, text = Part(reasoning=Reasoning(text=THOUGHT)), Part(text="Oslo is old.")

    with_thought = await ask(server, model, QUESTION, an_answer(thought, text), GO_ON)
    without = await ask(server, model, QUESTION, an_answer(text), GO_ON)

    added = with_thought.usage.input_tokens - without.usage.input_tokens
    assert added > len(THOUGHT.split())


@pytest.mark.parametrize("rpc", ["Complete", "StreamComplete"])
async def test_reasoning_through_the_responses_api(server: RunningServer, rpc: str) -> None:
    """llama.cpp's Responses API returns the reasoning as the content of an item, which goes back into the template."""
    answer = await ask(server, "responses", QUESTION, rpc=rpc)
    unsigned = an_answer(*(part for part in answer.message.content if part.text))

    with_thought = await ask(server, "responses", QUESTION, answer.message, GO_ON, rpc=rpc)
    without = await ask(server, "responses", QUESTION, unsigned, GO_ON, rpc=rpc)

    assert [(part.reasoning.text.strip(), part.text) for part in answer.message.content] == [
        (THOUGHT, ""),
        ("", "Oslo is old."),
    ]
    assert answer.provider_finish_reason == "completed"
    assert answer.usage.output_tokens > 0
    assert with_thought.usage.input_tokens - without.usage.input_tokens > len(THOUGHT.split())
