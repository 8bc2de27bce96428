"""Answers that litellm requests whole and not as a stream, as it does for Groq with a response format."""

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
    """An answer is read whether or not it has the members that only Groq itself sends."""
    upstream.body(json.dumps(WHOLE | members).encode())

    answer = await groq_server.answer(rpc, response_format=JSON_OBJECT)

    assert answer.text == '{"a": 1}'
    assert answer.end.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert (answer.end.usage.input_tokens, answer.end.usage.output_tokens) == (11, 7)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "message", [{"content": 7}, {"tool_calls": [{"function": {"name": 7}}]}], ids=["content", "name-of-a-call"]
)
async def test_text_of_another_type_is_not_lost(
    upstream: FakeUpstream, groq_server: CheckedServer, message: dict[str, Any]
) -> None:
    """A text, or the name of a call, that is no string makes the answer malformed."""
    upstream.always.body(json.dumps(WHOLE | {"choices": [CHOICE | {"message": message}]}).encode())

    failure = await groq_server.failure("Complete", response_format=JSON_OBJECT)

    assert failure.error.reason == "UPSTREAM_MALFORMED_RESPONSE"


@pytest.mark.parametrize("members", [{"created": "now"}, {"usage": {"prompt_tokens": "many"}}], ids=str)
async def test_other_members_of_another_type_do_no_harm(
    upstream: FakeUpstream, groq_server: CheckedServer, members: dict[str, Any]
) -> None:
    """A member without text counts as absent when it has another type."""
    upstream.body(json.dumps(WHOLE | members).encode())

    answer = await groq_server.answer("Complete", response_format=JSON_OBJECT)

    assert answer.text == '{"a": 1}'
