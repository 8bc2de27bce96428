"""The provider's own sentence about a refused request: who gets it, from a real server behind a real upstream."""

import logging
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest

from reasoning_grpc.client import CallFailed
from reasoning_grpc.domain import Wire
from reasoning_grpc.v1 import errors_pb2
from tests.support.agent import agent_config, collect_until_failure, plan_call, reasoning_request, write_plan
from tests.support.call_log import recording_calls
from tests.support.checked_server import BOTH_RPCS, EVERY_PROTOCOL, INVALID_ARGUMENT
from tests.support.classification import AUTO
from tests.support.factories import a_wire_request
from tests.support.serving import (
    RunningServer,
    config_for,
    judging_config,
    model_entry,
    provider_entry,
    serving,
    serving_upstream,
)
from tests.support.upstream import FakeUpstream, numbered

PROMPT: Final = "Is Aunt Matilda in the cellar?"
SENTENCE: Final = (
    "Unsupported value: 'temperature' does not support 0.2 in req_91fa for 'Is Aunt Matilda in the cellar?'; see"
    " https://api.example.com/docs."
)
SHOWN: Final = "Unsupported value: 'temperature' does not support 0.2 in [...] for '[...]'; see [...]."
TOOLS: Final = (
    "Function tools with reasoning_effort are not supported for fake in /v1/chat/completions. To use function tools,"
    " use /v1/responses or set reasoning_effort to 'none'."
)
ONLY_RESPONSES: Final = "This model is only supported in v1/responses and not in v1/chat/completions."
ON_AND_OFF: Final = pytest.mark.parametrize("passes", [True, False], ids=["on", "off"])


async def expect_failure(running: RunningServer, rpc: str, prompt: str = PROMPT, **fields: Any) -> CallFailed:
    """Makes a call by either RPC that must fail, and returns its failure."""
    request = a_wire_request(prompt, **fields)
    if rpc == "Complete":
        with pytest.raises(CallFailed) as failed:
            await running.client().complete(request)
        return failed.value
    _, failure = await collect_until_failure(running, request)
    assert failure is not None
    return failure


def read_message(error: CallFailed) -> str | None:
    """Returns the sentence of the provider in a status; None where the status has none."""
    return error.metadata.get("upstream_message")


@BOTH_RPCS
@EVERY_PROTOCOL
@ON_AND_OFF
@pytest.mark.parametrize("status", [400, 422])
async def test_the_caller_gets_the_sentence_by_opt_in(
    upstream: FakeUpstream, provider: str, rpc: str, passes: bool, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the redacted sentence of a refusal in any case, and the status only where the operator wants it."""
    upstream.fail(status, message=SENTENCE)

    with recording_calls(caplog) as log:
        async with serving(config_for(provider_entry(upstream, provider), pass_upstream_messages=passes)) as running:
            error = await expect_failure(running, rpc)
        line = await log.wait_for_line()

    told = {"upstream_message": SHOWN} if passes else {}
    assert (error.code, error.reason) == (INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST")
    assert error.metadata == {"model": "fake", "http_status": str(status), **told}
    assert error.message == 'The upstream of the model "fake" refused the request.'
    assert (line["levelno"], line["upstream_message"]) == (logging.WARNING, SHOWN)


@BOTH_RPCS
@ON_AND_OFF
async def test_the_sentence_of_an_error_within_an_answer(
    upstream: FakeUpstream, rpc: str, passes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal within a stream, or in a body with the status 200, carries its sentence as well."""
    error = {"message": SENTENCE, "type": "invalid_request_error", "code": 400}
    upstream.error_in_stream(error=error)
    upstream.error_in_stream(2, error)
    upstream.body(b'{"error": {"message": "%s", "code": "400"}}' % SENTENCE.encode())

    with recording_calls(caplog) as log:
        async with serving_upstream(upstream, pass_upstream_messages=passes) as running:
            failures = [await expect_failure(running, rpc) for _ in range(3)]
        lines = [await log.wait_for_line(number) for number in (1, 2, 3)]

    assert [failure.reason for failure in failures] == ["UPSTREAM_REJECTED_REQUEST"] * 3
    assert [read_message(failure) for failure in failures] == [SHOWN if passes else None] * 3
    assert [line["upstream_message"] for line in lines] == [SHOWN] * 3


@pytest.mark.parametrize(
    ("status", "code", "message", "reason", "shown"),
    [
        (400, "unsupported_parameter", "The parameter 'top_k' is not supported.", "UNSUPPORTED_PARAMETER", True),
        (400, "context_length_exceeded", "The limit is 8192 tokens.", "CONTEXT_WINDOW_EXCEEDED", True),
        (413, "context_length_exceeded", "The limit is 8192 tokens.", "CONTEXT_WINDOW_EXCEEDED", True),
        (400, "content_policy_violation", "The prompt was flagged.", "CONTENT_POLICY", True),
        (400, "insufficient_quota", "The quota of the organization is over.", "UPSTREAM_QUOTA_EXHAUSTED", False),
        (400, "model_not_found", "The model is not found here.", "UPSTREAM_MODEL_MISSING", False),
        (401, "invalid_api_key", "The key is not valid here.", "UPSTREAM_CREDENTIALS_REJECTED", False),
        (404, "model_not_found", "The model is not found here.", "UPSTREAM_MODEL_MISSING", False),
        (429, "rate_limit_exceeded", "The limit is 3 requests.", "UPSTREAM_RATE_LIMITED", False),
    ],
)
async def test_which_reasons_carry_the_sentence(
    upstream: FakeUpstream,
    status: int,
    code: str,
    message: str,
    reason: str,
    shown: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Callers get the sentence when it is about their request; the log has that of every 400."""
    upstream.always.fail(status, code=code, message=message)

    with recording_calls(caplog) as log:
        async with serving_upstream(upstream, pass_upstream_messages=True, max_retries=0) as running:
            error = await expect_failure(running, "Complete")
        line = await log.wait_for_line()

    assert error.reason == reason
    assert read_message(error) == (message if shown else None)
    assert line.get("upstream_message") == (message if status in {400, 413} else None)


@ON_AND_OFF
@pytest.mark.parametrize("steps_before", [0, 1])
async def test_the_sentence_of_a_refusal_in_the_agent(
    upstream: FakeUpstream, passes: bool, steps_before: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal in a step of the agent carries its sentence, without the results of tools that it repeats."""
    sentence = "Invalid tool result: Paris: rain for 3 days and nights. The message is too long."
    for _ in range(steps_before):
        upstream.reply(write_plan(plan_call("weather", city="Paris", days=3)))
    upstream.fail(400, message=sentence)

    with recording_calls(caplog) as log:
        async with serving(agent_config(upstream, pass_upstream_messages=passes)) as running:
            _, failure = await collect_until_failure(running, reasoning_request(PROMPT))
        line = await log.wait_for_line()

    assert failure is not None
    assert failure.reason == "UPSTREAM_REJECTED_REQUEST"
    shown = line["upstream_message"]
    assert shown.startswith("Invalid tool")
    assert shown.endswith("The message is too long.")
    assert "Paris" not in shown
    assert ("days" in shown) == (steps_before == 0)
    assert read_message(failure) == (shown if passes else None)


async def test_the_log_has_the_sentence_of_the_classifier(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal of the classifier's call stands in the log line, while the request is answered."""
    judge.always.fail(400, message=SENTENCE)

    with recording_calls(caplog) as log:
        async with serving(judging_config(upstream, judge)) as running:
            response = await running.client().complete(a_wire_request(PROMPT, **AUTO))
        line = await log.wait_for_line()

    assert response.message.content[0].text == "Hello world"
    assert (line["code"], line["classifier_failure"]) == ("OK", "UPSTREAM_REJECTED_REQUEST")
    assert line["upstream_message"] == SHOWN
    assert "Matilda" not in str(response)
    assert "Unsupported value" not in str(response)


async def test_the_status_has_the_sentence_of_the_failure_that_it_reports(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The refusal of an earlier attempt is no part of a status, nor of `attempt_switched`."""
    config = config_for(
        model_entry(upstream.api_base),
        model_entry(judge.api_base, "backup"),
        pass_upstream_messages=True,
        max_retries=0,
    )
    upstream.always.fail(404, message=ONLY_RESPONSES)
    judge.fail(503)
    judge.fail(400, message=SENTENCE)

    with recording_calls(caplog) as log:
        async with serving(config) as running:
            request = a_wire_request(PROMPT, fallback_models=["backup"])
            events, overloaded = await collect_until_failure(running, request)
            _, refused = await collect_until_failure(running, request)
        lines = [await log.wait_for_line(number) for number in (1, 2)]

    assert overloaded is not None
    assert refused is not None
    (switched,) = [event.attempt_switched for event in events if event.WhichOneof("kind") == "attempt_switched"]
    assert switched.failure == errors_pb2.ERROR_REASON_UPSTREAM_REJECTED_REQUEST
    assert "supported" not in str(switched)
    assert (overloaded.reason, overloaded.metadata) == (
        "UPSTREAM_OVERLOADED",
        {"model": "backup", "http_status": "503"},
    )
    assert (refused.reason, read_message(refused)) == ("UPSTREAM_REJECTED_REQUEST", SHOWN)
    assert [line["upstream_message"] for line in lines] == [
        "This model is only supported in [...] and not in [...].",
        SHOWN,
    ]


@BOTH_RPCS
@ON_AND_OFF
@pytest.mark.parametrize(("status", "sentence"), [(400, TOOLS), (404, ONLY_RESPONSES)], ids=["tools", "model"])
async def test_a_refusal_that_names_the_other_endpoint(
    upstream: FakeUpstream, rpc: str, passes: bool, status: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A refusal that names the other endpoint says which wire is required, and the log says what to configure."""
    upstream.fail(status, message=sentence)

    with recording_calls(caplog) as log:
        async with serving_upstream(upstream, pass_upstream_messages=passes) as running:
            error = await expect_failure(running, rpc)
        line = await log.wait_for_line()

    assert (error.code, error.reason) == (INVALID_ARGUMENT, "UPSTREAM_REJECTED_REQUEST")
    assert error.message == 'The upstream of the model "fake" takes the request only at another endpoint.'
    assert {name: value for name, value in error.metadata.items() if name != "upstream_message"} == {
        "model": "fake",
        "http_status": str(status),
        "required_wire": "responses",
    }
    assert ("upstream_message" in error.metadata) is passes
    assert line["required_wire"] == "responses"
    assert line["advice"] == 'set wire = "responses" in the entry of the model'


@BOTH_RPCS
async def test_a_refusal_of_the_responses_api(
    upstream: FakeUpstream, rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that has only Chat Completions is refused by the Responses API with the cause."""
    upstream.fail(400, message="The requested model 'fake' is not supported with the Responses API.")
    entry = model_entry(upstream.api_base, wire=Wire.RESPONSES)

    with recording_calls(caplog) as log:
        async with serving(config_for(entry)) as running:
            error = await expect_failure(running, rpc)
        line = await log.wait_for_line()

    assert upstream.requests[0].path.endswith("/responses")
    assert (error.reason, error.metadata["required_wire"]) == ("UPSTREAM_REJECTED_REQUEST", "chat")
    assert line["advice"] == 'set wire = "chat" in the entry of the model'


@BOTH_RPCS
async def test_a_model_of_an_endpoint_that_is_not_called(
    upstream: FakeUpstream, rpc: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that needs an endpoint which this server never calls is refused with the endpoint's own name."""
    upstream.fail(
        404,
        message="This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to"
        " use v1/completions?",
    )

    with recording_calls(caplog) as log:
        async with serving_upstream(upstream) as running:
            error = await expect_failure(running, rpc)
        line = await log.wait_for_line()

    assert (error.reason, error.metadata["required_wire"]) == ("UPSTREAM_REJECTED_REQUEST", "completions")
    assert "wire =" not in line["advice"]


async def test_the_agent_reports_the_required_wire(upstream: FakeUpstream) -> None:
    """A refusal of the agent's tools that names the other endpoint reaches the caller with that cause."""
    upstream.fail(400, message=TOOLS)
    entry = model_entry(upstream.api_base, native_tools=True)

    async with serving(agent_config(upstream, entry=entry)) as running:
        _, failure = await collect_until_failure(running, reasoning_request(PROMPT))

    assert failure is not None
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (failure.reason, failure.metadata["required_wire"]) == ("UPSTREAM_REJECTED_REQUEST", "responses")


async def test_details_with_a_sentence_stay_under_4_kb(upstream: FakeUpstream) -> None:
    """The longest sentence, beside the longest name of a model and request id, fits into a status of 4 KB."""
    name = "m" * 128
    upstream.error_in_stream(3, {"message": "The value of the parameter is not valid. " * 100, "code": 400})
    entry = replace(model_entry(upstream.api_base), name=name)

    async with serving(config_for(entry, pass_upstream_messages=True)) as running:
        error = await expect_failure(running, "StreamComplete", request_id="r" * 128, prompt=" ".join(numbered(100)))

    cause = error.__cause__
    assert isinstance(cause, grpc.aio.AioRpcError)
    details = dict(cause.trailing_metadata() or ())["grpc-status-details-bin"]
    assert len(details) < 4096
    assert 280 < len(error.metadata["upstream_message"]) <= 300
