"""Answers that litellm asks for whole and then presents as a stream, as it does for Groq with a response format."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from reasoning_grpc.v1 import completion_pb2
from tests.support.checked_server import BOTH_RPCS, CheckedServer, CheckedServing
from tests.support.serving import model_entry
from tests.support.upstream import FakeUpstream

pytestmark = pytest.mark.parametrize("provider", ["groq"], indirect=True)

JSON_OBJECT: Final = completion_pb2.ResponseFormat(json_object=completion_pb2.JsonObjectFormat())
CHOICE: Final[dict[str, Any]] = {
    "index": 0,
    "message": {"role": "assistant", "content": '{"a": 1}'},
    "finish_reason": "stop",
}
USAGE: Final = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
WHOLE: Final[dict[str, Any]] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "fake",
    "choices": [CHOICE],
    "usage": USAGE,
}


@pytest.fixture
async def groq_server(upstream: FakeUpstream, checked_serving: CheckedServing) -> AsyncIterator[CheckedServer]:
    """A server with a model of Groq's, which the fake upstream plays."""
    async with checked_serving(model_entry(upstream.api_base, litellm_model="groq/fake")) as checked_server:
        yield checked_server


@BOTH_RPCS
@pytest.mark.parametrize(
    "members",
    [{"service_tier": "on_demand"}, {}, {"service_tier": None}, {"x_groq": {"id": "req_1"}}],
    ids=["with-tier", "without-tier", "null-tier", "of-groq"],
)
async def test_an_answer_is_read_with_and_without_a_service_tier(
    upstream: FakeUpstream, groq_server: CheckedServer, rpc: str, members: dict[str, Any]
) -> None:
    """An answer is read whether or not it has the member that litellm takes for granted."""
    upstream.body(json.dumps(WHOLE | members).encode())

    answer = await groq_server.answer(rpc, response_format=JSON_OBJECT)

    assert answer.text == '{"a": 1}'
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert (answer.end.usage.input_tokens, answer.end.usage.output_tokens) == (11, 7)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "members",
    [
        {"choices": [CHOICE | {"message": 7}]},
        {"choices": [CHOICE | {"message": {"content": 7}}]},
        {"choices": [7]},
        {"created": "now"},
        {"usage": {"prompt_tokens": "many"}, "choices": [CHOICE | {"message": {"tool_calls": [7]}}]},
        {"choices": [CHOICE | {"message": {"tool_calls": [{"function": {"name": 7}}]}}]},
    ],
    ids=lambda members: json.dumps(members)[:40],
)
async def test_an_answer_that_litellm_cannot_read_is_not_our_fault(
    upstream: FakeUpstream, groq_server: CheckedServer, members: dict[str, Any]
) -> None:
    """An answer on which litellm breaks is malformed; it is no fault of the server."""
    upstream.always.body(json.dumps(WHOLE | members).encode())

    failure = await groq_server.failure("Complete", response_format=JSON_OBJECT)

    assert failure.error.reason == "UPSTREAM_MALFORMED_RESPONSE"
