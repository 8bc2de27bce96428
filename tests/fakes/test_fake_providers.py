"""litellm reads the same answer from one script in every dialect of the fake upstream."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from reasoning_grpc.litellm_model import library
from tests.support.upstream import DEFAULT_USAGE, UPSTREAM_SECRET, Cut, FakeToolCall, FakeUpstream

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.thorough,
    pytest.mark.parametrize("provider", ["openai", "anthropic", "gemini", "bedrock"]),
]

PATHS = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/some-model:streamGenerateContent?alt=sse",
    "bedrock": "/model/some-model/converse-stream",
}

ENDS = {
    "openai": ['"finish_reason": "stop"', "[DONE]"],
    "anthropic": ['"stop_reason": "end_turn"', "message_delta", "message_stop"],
    "gemini": ["finishReason"],
    "bedrock": ["messageStop", "metadata"],
}


class Read:
    """The joined deltas of a stream of litellm."""

    def __init__(self) -> None:
        self.text = self.reasoning = self.finish_reason = ""
        self.signatures: list[str] = []
        self.redacted: list[str] = []
        self.calls: dict[int, dict[str, str]] = {}
        self.usage: Any = None

    def take(self, chunk: Any) -> None:
        """Records one chunk."""
        body = chunk.model_dump()
        self.usage = body.get("usage") or self.usage
        for choice in body["choices"]:
            self.finish_reason = choice["finish_reason"] or self.finish_reason
            self._take_delta(choice["delta"])

    def _take_delta(self, delta: dict[str, Any]) -> None:
        self.text += delta["content"] or ""
        self.reasoning += delta.get("reasoning_content") or ""
        for block in delta.get("thinking_blocks") or []:
            self.signatures += [block["signature"]] if block.get("signature") else []
            self.redacted += [block["data"]] if block.get("data") else []
        own = delta.get("provider_specific_fields") or {}
        for call in delta["tool_calls"] or []:
            known = self.calls.setdefault(call["index"], {"id": "", "name": "", "arguments": "", "signature": ""})
            known["id"] += call["id"] or ""
            known["name"] += call["function"]["name"] or ""
            known["arguments"] += call["function"]["arguments"] or ""
            known["signature"] += (call.get("provider_specific_fields") or {}).get("thought_signature") or ""
        if not delta["tool_calls"]:
            self.signatures += own.get("thought_signatures") or []


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[FakeUpstream]:
    """Provides a fake for each test."""
    await library.load()
    async with FakeUpstream() as fake:
        yield fake
    await library.close_clients()


async def ask(upstream: FakeUpstream, provider: str, **options: Any) -> Any:
    """Makes a call through litellm."""
    return await library.import_litellm().acompletion(
        model=f"{'bedrock/converse' if provider == 'bedrock' else provider}/some-model",
        api_base=upstream.api_base_for(provider),
        api_key="some-key",
        messages=[{"role": "user", "content": "hi"}],
        max_retries=0,
        num_retries=0,
        **options,
    )


async def read(upstream: FakeUpstream, provider: str) -> tuple[Read, Any]:
    """Reads a whole stream, and returns it with litellm's object for it."""
    stream = await ask(upstream, provider, stream=True, stream_options={"include_usage": True})
    result = Read()
    async for chunk in stream:
        result.take(chunk)
    return result, stream


async def failure(upstream: FakeUpstream, provider: str) -> tuple[Read, list[BaseException]]:
    """Returns what was read of a stream before it failed, and the failure with all its causes."""
    result = Read()
    cause: BaseException | None = None
    try:
        async for chunk in await ask(upstream, provider, stream=True):
            result.take(chunk)
    except Exception as exc:
        cause = exc
    chain: list[BaseException] = []
    while cause is not None:
        chain.append(cause)
        cause = getattr(cause, "original_exception", None) or cause.__cause__ or cause.__context__
    assert chain, "the stream did not fail"
    return result, chain


async def test_text_and_usage(upstream: FakeUpstream, provider: str) -> None:
    """Text, finish and every number of the usage arrive, and the request is recorded unchanged."""
    upstream.reply("Hel", "lo")

    result, _ = await read(upstream, provider)

    assert (result.text, result.finish_reason) == ("Hello", "stop")
    usage = result.usage
    assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [11, 7, 18]
    for details in ("prompt_tokens_details", "completion_tokens_details"):
        assert DEFAULT_USAGE[details].items() <= usage[details].items()
    request = await upstream.request()
    assert (request.method, request.path) == ("POST", PATHS[provider])
    assert "some-key" in str(request.headers)
    assert "hi" in str(request.body)


async def test_reasoning(upstream: FakeUpstream, provider: str) -> None:
    """Reasoning is separate from the text, and has its signature, and redacted parts where a provider has them."""
    upstream.reply("a", "b", reasoning=("hm", "m"), reasoning_signature="c2ln", redacted_reasoning=("eHh4",))

    result, _ = await read(upstream, provider)

    assert (result.reasoning, result.text) == ("hmm", "ab")
    assert result.signatures == ["c2ln"]
    assert result.redacted == (["eHh4"] if provider in {"anthropic", "bedrock"} else [])


async def test_tool_calls(upstream: FakeUpstream, provider: str) -> None:
    """Tool calls arrive with id, name and arguments; the first one is signed where a provider signs calls."""
    calls = (FakeToolCall("id1", "f", ('{"a"', ": 1}")), FakeToolCall("id2", "g", '{"b": "c"}'))
    upstream.reply("a", tool_calls=calls, tool_signature="c2ln")

    result, _ = await read(upstream, provider)

    assert (result.text, result.finish_reason) == ("a", "tool_calls")
    first, second = result.calls.values()
    assert (first["name"], first["arguments"]) == ("f", '{"a": 1}')
    assert first["id"] == ("id1__thought__c2ln" if provider == "gemini" else "id1")
    assert first["signature"] == ("" if provider in {"anthropic", "bedrock"} else "c2ln")
    assert second == {"id": "id2", "name": "g", "arguments": '{"b": "c"}', "signature": ""}


@pytest.mark.parametrize("finish_reason", ["stop", "length", "content_filter"])
async def test_finish_reasons(upstream: FakeUpstream, provider: str, finish_reason: str) -> None:
    """litellm translates the finish reason of each protocol."""
    upstream.reply("a", finish_reason=finish_reason)

    result, _ = await read(upstream, provider)

    assert result.finish_reason == finish_reason


async def test_whole_answer(upstream: FakeUpstream, provider: str) -> None:
    """Without a stream the answer of a script is one body."""
    call = FakeToolCall("id1", "f", '{"a": 1}')
    upstream.reply("Hel", "lo", reasoning=("hm",), reasoning_signature="c2ln", tool_calls=(call,))

    completion = (await ask(upstream, provider)).model_dump()

    message = completion["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("Hello", "hm")
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert "c2ln" in str(message)
    assert completion["choices"][0]["finish_reason"] == "tool_calls"
    assert completion["usage"]["total_tokens"] == 18


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 529])
async def test_http_errors(upstream: FakeUpstream, provider: str, status: int) -> None:
    """The exceptions of litellm have the status, the headers, and the protocol's error as text."""
    upstream.fail(status, headers={"Retry-After": "7"})

    _, chain = await failure(upstream, provider)

    responses = [response for exc in chain if (response := getattr(exc, "response", None)) is not None]
    assert (responses[-1].status_code, responses[-1].headers["retry-after"]) == (status, "7")
    assert any(UPSTREAM_SECRET in str(exc) for exc in chain)
    assert len(upstream.requests) == 1


async def test_known_errors(upstream: FakeUpstream, provider: str) -> None:
    """The error of a well-known code has a text that litellm recognizes."""
    upstream.fail(400, code="context_length_exceeded")

    _, chain = await failure(upstream, provider)

    assert type(chain[0]).__name__ == "ContextWindowExceededError"


@pytest.mark.parametrize("after", [0, 2])
async def test_error_in_stream(upstream: FakeUpstream, provider: str, after: int) -> None:
    """An error event ends the stream after its deltas."""
    upstream.error_in_stream(after)

    result, chain = await failure(upstream, provider)

    assert result.text == "".join(f"word{number} " for number in range(after))
    assert UPSTREAM_SECRET in str(chain[-1])


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_broken_stream(upstream: FakeUpstream, provider: str, how: Cut) -> None:
    """A broken connection is an error after the deltas."""
    gate = upstream.cut_after(1, how, gated=True)
    gate.open()
    stream = await ask(upstream, provider, stream=True)

    first = await anext(stream)
    gate.open()
    with pytest.raises(Exception, match=r"payload|reset|peer closed|Connection|incomplete"):
        async for _ in stream:
            pass

    assert first.choices[0].delta.content == "word0 "
    assert len(upstream.requests) == 1


async def test_truncated_stream(upstream: FakeUpstream, provider: str) -> None:
    """A clean cut lacks the end of the protocol; litellm invents one, and for Gemini it never reports the true one."""
    upstream.cut_after(2, "end")
    upstream.reply("a", finish_reason=None)
    upstream.reply("a")

    cut, cut_stream = await read(upstream, provider)
    unfinished, unfinished_stream = await read(upstream, provider)
    _, whole_stream = await read(upstream, provider)

    assert cut.finish_reason == unfinished.finish_reason == "stop"
    assert cut_stream.received_finish_reason is unfinished_stream.received_finish_reason is None
    assert whole_stream.received_finish_reason == (None if provider == "gemini" else "stop")


async def test_ends_on_the_wire(upstream: FakeUpstream, provider: str) -> None:
    """A complete answer has the end of the protocol, and a cut one has no part of it."""
    upstream.reply("a")
    upstream.cut_after(2, "end")
    upstream.reply("a", finish_reason=None, done=False)
    url = upstream.api_base.removesuffix("/v1") + PATHS[provider]

    async with aiohttp.ClientSession() as session:
        bodies = [await (await session.post(url, json={"stream": True})).read() for _ in range(3)]

    assert [[end.encode() in body for end in ENDS[provider]] for body in bodies] == [
        [True] * len(ENDS[provider]),
        *[[False] * len(ENDS[provider])] * 2,
    ]


async def test_leaving(upstream: FakeUpstream, provider: str) -> None:
    """The fake notices a client that no longer waits for a delta."""
    gate = upstream.gated("a", "b")
    gate.open()
    stream = await ask(upstream, provider, stream=True)
    await anext(stream)

    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert (await upstream.disconnect()).path == PATHS[provider]
