"""A bug of the server, and a shortage of its own, in a call that has reached an upstream.

The span of a model call raises the exception when it ends, so after the deltas of the answer. It stands for any code of
ours that runs within a call.
"""

import asyncio
import errno
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from msgspec.structs import replace

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import Config
from reasoning_grpc.domain import CallContext, Deployment, UsageMeter
from reasoning_grpc.domain.events import ModelEvent, ModelFinished
from reasoning_grpc.litellm_model import LiteLLMModel
from reasoning_grpc.llm import ModelCall
from reasoning_grpc.server.wiring import build_parts
from reasoning_grpc.telemetry.export import Telemetry
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.support.agent import DEFAULT_TOKENS, PRICES, agent_config, reasoning_request, write_plan
from tests.support.broken_spans import CHAT, Fault, break_spans
from tests.support.classification import AUTO, write_choice
from tests.support.factories import a_wire_request
from tests.support.served_engine import serving_engine
from tests.support.serving import config_for, judging_config, model_entry, serving
from tests.support.upstream import FakeUpstream
from tests.support.wire_calls import expect_failure, read_to_end

ANSWER: Final = ("One, ", "two, ", "three.")
BUGS: Final = [
    pytest.param(lambda: RuntimeError("secret"), id="an exception"),
    pytest.param(lambda: asyncio.CancelledError("secret"), id="a cancellation from inside the server"),
]
SHORTAGES: Final = [
    pytest.param(MemoryError, id="memory"),
    pytest.param(lambda: OSError(errno.EMFILE, "secret"), id="files of the process"),
    pytest.param(lambda: OSError(errno.ENFILE, "secret"), id="files of the machine"),
    pytest.param(lambda: chain_errors(RuntimeError("secret"), MemoryError()), id="memory, in the chain"),
]


def chain_errors(error: Exception, cause: Exception) -> Exception:
    """Returns the error with its cause."""
    error.__cause__ = cause
    return error


@dataclass(frozen=True, kw_only=True)
class Path:
    """A path that a request takes to its upstreams, and the model call at whose end the server breaks."""

    config: Config
    request: completion_pb2.CompleteRequest
    span: str
    end: int = 1
    model_calls: int = 1
    tokens: int = DEFAULT_TOKENS
    characters: int = 0
    """The characters of the answer that were sent."""


def create_path(name: str, upstream: FakeUpstream, judge: FakeUpstream) -> Path:
    """Creates the path of this name, and scripts its upstreams."""
    if name == "classifier":
        judge.always.reply(write_choice("passthrough"))
        return Path(config=judging_config(upstream, judge), request=a_wire_request(**AUTO), span=f"{CHAT}judge")
    if name == "agent":
        upstream.reply(write_plan())
        upstream.reply(*ANSWER)
        return Path(
            config=agent_config(upstream),
            request=reasoning_request(),
            span=f"{CHAT}fake",
            end=2,
            model_calls=2,
            tokens=2 * DEFAULT_TOKENS,
            characters=len("".join(ANSWER)),
        )
    upstream.reply(*ANSWER)
    config = config_for(model_entry(upstream.api_base, prices=PRICES))
    return Path(config=config, request=a_wire_request(), span=f"{CHAT}fake", characters=len("".join(ANSWER)))


async def fail(path: Path, fault: Fault, method: str) -> CallFailed:
    """Makes a call of a server that breaks, and returns its failure."""
    async with serving(path.config, break_spans(path.span, fault, path.end)) as running:
        return await expect_failure(start_call(running.stub, method, path.request))


def start_call(stub: Any, method: str, request: completion_pb2.CompleteRequest) -> Any:
    """Starts a call of this method with a request."""
    if method == "Complete":
        return stub.Complete(request)
    if method == "Classify":
        return stub.Classify(classification_pb2.ClassifyRequest(request=request))
    return read_to_end(stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request)))


def find_call_record(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """Returns the line of the log about the only call."""
    (record,) = [record for record in caplog.records if record.name == "reasoning_grpc.calls"]
    return record


CALLS: Final = [
    *((path, method) for path in ("passthrough", "agent", "classifier") for method in ("Complete", "StreamComplete")),
    ("classifier", "Classify"),
]


@pytest.mark.parametrize("fault", BUGS)
@pytest.mark.parametrize(("name", "method"), CALLS)
async def test_a_bug_carries_the_progress(
    upstream: FakeUpstream,
    judge: FakeUpstream,
    caplog: pytest.LogCaptureFixture,
    name: str,
    method: str,
    fault: Fault,
) -> None:
    """A bug after an upstream was reached is INTERNAL, and its Interruption says what was sent and used."""
    path = create_path(name, upstream, judge)

    failed = await fail(path, fault, method)

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert failed.retry_after_seconds is None
    check_progress(failed, path)
    record = find_call_record(caplog)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


@pytest.mark.parametrize("fault", SHORTAGES)
@pytest.mark.parametrize(("name", "method"), CALLS)
async def test_a_shortage_carries_the_progress(
    upstream: FakeUpstream,
    judge: FakeUpstream,
    caplog: pytest.LogCaptureFixture,
    name: str,
    method: str,
    fault: Fault,
) -> None:
    """A shortage in any part of the server is SERVER_OVERLOADED, with a delay as long as nothing was sent."""
    path = create_path(name, upstream, judge)

    failed = await fail(path, fault, method)

    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    assert failed.retry_after_seconds == (None if path.characters else 1.0)
    check_progress(failed, path)
    record = find_call_record(caplog)
    assert record.levelno == logging.WARNING
    assert record.exc_info is not None


def check_progress(failed: CallFailed, path: Path) -> None:
    """Checks that a failure says how far its call had come, and no text of the exception."""
    progress = failed.interruption
    assert progress is not None
    assert progress.response_id.startswith("rsp_")
    assert (progress.model_call_count, progress.attempt_count) == (path.model_calls, path.model_calls)
    assert progress.content_characters == path.characters
    assert progress.usage.total_tokens == path.tokens
    assert progress.HasField("cost")
    assert "secret" not in f"{failed} {failed.metadata}"


@pytest.mark.parametrize("fault", SHORTAGES)
@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_shortage_before_an_upstream_is_reached(upstream: FakeUpstream, method: str, fault: Fault) -> None:
    """A shortage before anything is sent has no Interruption, and the caller may try again after a second."""
    path = Path(config=config_for(model_entry(upstream.api_base)), request=a_wire_request(), span=f"{CHAT}fake", end=0)

    failed = await fail(path, fault, method)

    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "SERVER_OVERLOADED")
    assert failed.retry_after_seconds == 1.0
    assert failed.interruption is None
    assert upstream.requests == []


class OddModel(LiteLLMModel):
    """Calls upstreams as usual, and ends each answer for a reason that no message of the API can hold."""

    async def stream(
        self, call: ModelCall, deployment: Deployment, context: CallContext, meter: UsageMeter
    ) -> AsyncGenerator[ModelEvent, None]:
        """See `LanguageModel.stream`."""
        odd: Any = "odd"
        async with aclosing(super().stream(call, deployment, context, meter)) as events:
            async for event in events:
                yield replace(event, finish_reason=odd) if isinstance(event, ModelFinished) else event


@pytest.mark.parametrize("method", ["Complete", "StreamComplete"])
async def test_a_bug_after_the_last_event_carries_the_progress(upstream: FakeUpstream, method: str) -> None:
    """An answer that cannot be converted to its message is INTERNAL, and its Interruption says what was used."""
    upstream.reply(*ANSWER)
    config = config_for(model_entry(upstream.api_base, prices=PRICES))
    parts = build_parts(config, Telemetry(), adapter_class=OddModel)

    try:
        async with serving_engine(parts.engine) as served:
            stub: Any = ReasoningServiceStub(served.channel)
            failed = await expect_failure(start_call(stub, method, a_wire_request()))
    finally:
        await parts.model.aclose()

    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    check_progress(failed, Path(config=config, request=a_wire_request(), span="", characters=len("".join(ANSWER))))
