"""Reasoning of earlier answers on Bedrock's wire: litellm loses its place, so the body is changed and signed again."""

from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from reasoning_grpc.domain import Secret
from reasoning_grpc.v1.completion_pb2 import CompleteRequest, IncludeOptions, JsonSchemaFormat, ResponseFormat, Tool
from reasoning_grpc.v1.messages_pb2 import (
    ROLE_ASSISTANT,
    ROLE_TOOL,
    ROLE_USER,
    Message,
    Part,
    Reasoning,
    ToolCall,
    ToolResult,
)
from tests.support.native_events import receive
from tests.support.serving import RunningServer, config_for, provider_entry, serving
from tests.support.upstream import CapturedRequest, FakeUpstream
from tests.support.wire_bodies import Json, capture_body

CLAUDE, BOUND, GPT = "anthropic.claude-opus-4-8", "anthropic.claude-opus-5-5", "us.openai.gpt-5.6-sol"
MARK: Final = {"cachePoint": {"type": "default"}}
ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "a-secret-access-key"


@pytest.fixture
async def server(upstream: FakeUpstream) -> AsyncIterator[RunningServer]:
    """A server with models of Anthropic on Bedrock."""
    entries = [provider_entry(upstream, "bedrock", name, litellm_model=f"bedrock/{name}") for name in (CLAUDE, BOUND)]
    async with serving(config_for(*entries)) as running:
        yield running


def think(text: str, **part: Any) -> Part:
    """Creates signed reasoning in words, whose signature follows from the words."""
    return Part(reasoning=Reasoning(text=text), signature=f"of {text}", **part)


def withhold(data: str) -> Part:
    """Creates encrypted reasoning."""
    return Part(reasoning=Reasoning(redacted=data.encode()))


def call(call_id: str, **part: Any) -> Part:
    """Creates a tool call."""
    return Part(tool_call=ToolCall(id=call_id, name="f", arguments="{}"), **part)


def assistant(*parts: Part) -> Message:
    """Creates a message of the assistant."""
    return Message(role=ROLE_ASSISTANT, content=parts)


def user(text: str) -> Message:
    """Creates a message of the user."""
    return Message(role=ROLE_USER, content=[Part(text=text)])


def results(*call_ids: str) -> Message:
    """Creates the results of calls."""
    return Message(
        role=ROLE_TOOL,
        content=[Part(tool_result=ToolResult(call_id=call_id, content="42")) for call_id in call_ids],
    )


def thought(text: str) -> Json:
    """Returns the block of signed reasoning."""
    return {"reasoningContent": {"reasoningText": {"text": text, "signature": f"of {text}"}}}


def withheld(data: str) -> Json:
    """Returns the block of encrypted reasoning."""
    return {"reasoningContent": {"redactedContent": data}}


def use(call_id: str) -> Json:
    """Returns the block of a tool call."""
    return {"toolUse": {"toolUseId": call_id, "name": "f", "input": {}}}


Case = tuple[list[Message], list[list[Json]]]
ANSWERS: Final[dict[str, Case]] = {
    "between texts": (
        [assistant(think("a"), Part(text="x"), think("b"), Part(text="y"), think("c"))],
        [[thought("a"), {"text": "x"}, thought("b"), {"text": "y"}, thought("c")]],
    ),
    "between calls": (
        [assistant(think("a"), call("t1"), withhold("cg=="), think("b"), call("t2")), results("t1", "t2")],
        [[thought("a"), use("t1"), withheld("cg=="), thought("b"), use("t2")]],
    ),
    "between a text and a call": (
        [assistant(Part(text="x"), think("a"), call("t1")), results("t1")],
        [[{"text": "x"}, thought("a"), use("t1")]],
    ),
    "after a call and a text": (
        [assistant(Part(text="x"), call("t1"), think("a"), call("t2")), results("t1", "t2")],
        [[{"text": "x"}, use("t1"), thought("a"), use("t2")]],
    ),
    "without words": ([assistant(think(""), Part(text="x"))], [[thought(""), {"text": "x"}]]),
    "encrypted alone before a call": (
        [assistant(withhold("cg=="), withhold("cw=="), call("t1")), results("t1")],
        [[withheld("cg=="), withheld("cw=="), use("t1")]],
    ),
    "in two answers": (
        [assistant(Part(text="x"), withhold("cg==")), user("b"), assistant(withhold("cw=="), Part(text="y"))],
        [[{"text": "x"}, withheld("cg==")], [withheld("cw=="), {"text": "y"}]],
    ),
    "in successive messages": (
        [assistant(think("a"), Part(text="x")), assistant(think("b"), Part(text="y"))],
        [[thought("a"), {"text": "x"}, thought("b"), {"text": "y"}]],
    ),
    "beside cache marks": (
        [assistant(Part(text="x", cache=True), think("a"), call("t1", cache=True)), results("t1")],
        [[{"text": "x"}, MARK, thought("a"), use("t1"), MARK]],
    ),
    "in one of two answers": (
        [assistant(Part(text="x")), user("b"), assistant(Part(text="y"), think("a"), Part(text="z"))],
        [[{"text": "x"}], [{"text": "y"}, thought("a"), {"text": "z"}]],
    ),
}
"""Answers after a question, and the blocks of each in the next request."""


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS)
async def test_reasoning_goes_back_to_its_place(upstream: FakeUpstream, server: RunningServer, case: Case) -> None:
    """Reasoning stands where the model wrote it, in words or encrypted, and everything else stays as it is."""
    messages, expected = case
    request = CompleteRequest(model=CLAUDE, messages=[user("a"), *messages, user("c")], tools=[Tool(name="f")])

    body, settings = await capture_body(upstream, server, request)

    assert [turn["content"] for turn in body["messages"] if turn["role"] == "assistant"] == expected
    assert settings == []


async def test_an_answer_of_encrypted_reasoning_alone_is_left_out(
    upstream: FakeUpstream, server: RunningServer
) -> None:
    """An answer with nothing but encrypted reasoning is left out, which is reported; other reasoning stays."""
    messages = [user("a"), assistant(withhold("cg==")), user("b"), assistant(withhold("cw=="), Part(text="x"))]
    request = CompleteRequest(model=CLAUDE, messages=[*messages, user("c")])

    body, settings = await capture_body(upstream, server, request)

    turns = [turn["content"] for turn in body["messages"]]
    assert turns == [[{"text": "a"}, {"text": "b"}], [withheld("cw=="), {"text": "x"}], [{"text": "c"}]]
    assert settings == [("messages.content.reasoning.redacted", "2", "1")]


async def test_bound_reasoning_may_be_dropped(upstream: FakeUpstream, server: RunningServer) -> None:
    """A model that binds its reasoning to the conversation may drop it after a change, and does not fail."""
    request = CompleteRequest(model=BOUND, messages=[user("a"), assistant(think("r"), Part(text="x")), user("b")])

    body, _ = await capture_body(upstream, server, request)

    assert body["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}},
        "anthropic_beta": ["thinking-binding-controls-2026-08-01"],
    }


async def test_encrypted_reasoning_in_parts_is_one(upstream: FakeUpstream, native_server: RunningServer) -> None:
    """Encrypted reasoning that arrives in parts is joined, because each part is in Base64 by itself."""

    def delta(index: int, content: Json) -> Json:
        return {"contentBlockDelta": {"contentBlockIndex": index, "delta": content}}

    parts = [delta(0, {"reasoningContent": {"redactedContent": data}}) for data in ("YQ==", "YmM=")]
    events: list[Json] = [
        {"messageStart": {"role": "assistant"}},
        *parts,
        {"contentBlockStop": {"contentBlockIndex": 0}},
        delta(1, {"text": "x"}),
        {"messageStop": {"stopReason": "end_turn"}},
        {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}},
    ]

    answer = await receive(upstream, native_server, *events)

    assert answer.summary() == {"redacted": [b"YWJj"], "text": "x", "ended": "STOP end_turn", "tokens": [1, 2]}


async def test_a_changed_body_is_signed(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key, the signature is that of the body that leaves, after the reasoning has got its place."""
    for name, value in {"ACCESS_KEY_ID": ACCESS_KEY, "SECRET_ACCESS_KEY": SECRET_KEY}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    entry = provider_entry(
        upstream,
        "bedrock",
        CLAUDE,
        litellm_model=f"bedrock/{CLAUDE}",
        api_key=Secret(""),
        litellm_params={"aws_region_name": "eu-central-1"},
    )
    messages = [user("a"), assistant(Part(text="ä"), withhold("cg=="), call("t1")), results("t1")]

    async with serving(config_for(entry)) as running:
        await running.client().complete(CompleteRequest(model=CLAUDE, messages=messages, tools=[Tool(name="f")]))

    (captured,) = upstream.requests
    assert captured.body["messages"][1]["content"] == [{"text": "ä"}, withheld("cg=="), use("t1")]
    start, _, signature = captured.headers["Authorization"].rpartition(", Signature=")
    names = start.partition("SignedHeaders=")[2].split(";")
    assert signature == sign(captured, f"http://127.0.0.1:{upstream.port}{captured.path}", names)
    assert {"host", "x-amz-date", "content-type"} <= set(names)


def sign(request: CapturedRequest, url: str, names: list[str]) -> str:
    """Returns the signature that a request ought to have, by Amazon's own library."""
    headers = {name: request.headers[name] for name in names}
    signed = AWSRequest(method="POST", url=url, data=request.raw, headers=headers)
    signed.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), "bedrock", "eu-central-1")
    signature: str = auth.signature(auth.string_to_sign(signed, auth.canonical_request(signed)), signed)
    return signature


@pytest.mark.parametrize("is_forced", [False, True])
async def test_a_summary_is_requested_beside_free_calls(
    upstream: FakeUpstream, server: RunningServer, is_forced: bool
) -> None:
    """A model that reasons unasked is asked for a summary, unless litellm would no longer force a tool call then."""
    schema = JsonSchemaFormat(name="n", schema='{"type": "object"}')
    request = CompleteRequest(
        model=BOUND,
        messages=[user("a")],
        include=IncludeOptions(reasoning=True),
        response_format=ResponseFormat(json_schema=schema) if is_forced else None,
    )

    body, _ = await capture_body(upstream, server, request)

    summarized = {"thinking": {"type": "adaptive", "display": "summarized"}}
    assert body.get("additionalModelRequestFields") == (None if is_forced else summarized)


@pytest.mark.parametrize("base_model", ["", f"bedrock/{GPT}"])
@pytest.mark.parametrize("tools", [[], [Tool(name="f")]], ids=["without-tools", "with-tools"])
async def test_models_of_openai_stay_with_converse(upstream: FakeUpstream, base_model: str, tools: list[Tool]) -> None:
    """Every request to a model of OpenAI goes through Converse, so that encrypted reasoning goes back in each."""
    name = "arn-of-a-profile" if base_model else GPT
    entry = provider_entry(upstream, "bedrock", "gpt", litellm_model=f"bedrock/{name}", base_model=base_model)
    messages = [user("a"), assistant(withhold("cg=="), Part(text="x")), user("b")]

    async with serving(config_for(entry)) as running:
        await running.client().complete(CompleteRequest(model="gpt", messages=messages, tools=tools))

    (captured,) = upstream.requests
    assert captured.path == f"/model/{name}/converse-stream"
    assert captured.body["messages"][1]["content"] == [withheld("cg=="), {"text": "x"}]
