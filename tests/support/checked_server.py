"""`CheckedServer`: a server that is called by either RPC, and what its callers see of an upstream's faults."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed, ReasoningClient
from reasoning_grpc.v1 import completion_pb2, events_pb2, interruption_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer
from tests.support.upstream import Gate, chunk, numbered

PROMPT: Final = "prompt-canary-51c9"
PROMPT_TOKENS: Final = 5
"""The server's estimate for PROMPT: one token for each four bytes."""
PROTOCOLS: Final = ("openai", "responses", "azure", "hosted_vllm", "anthropic", "gemini", "bedrock")
"""Our own readers, and litellm's with each protocol that the fake upstream speaks."""
EVERY_PROTOCOL: Final = pytest.mark.parametrize("provider", PROTOCOLS, indirect=True)
BOTH_RPCS: Final = pytest.mark.parametrize("rpc", ["StreamComplete", "Complete"])
THREE_DELTAS: Final = ["word0 ", "word1 ", "word2 "]
NOTHING_USED: Final = usage_pb2.Usage(source=usage_pb2.USAGE_SOURCE_PROVIDER)

DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INTERNAL = grpc.StatusCode.INTERNAL
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that failed: the events before the failure, and everything that its status says."""

    events: list[events_pb2.StreamCompleteResponse]
    error: CallFailed
    details: list[str]
    pushback: str

    @property
    def verdict(self) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        """Code, reason and metadata of the status."""
        return self.error.code, self.error.reason, self.error.metadata

    @property
    def forbids_retries(self) -> bool:
        """Whether the status stops retries by the client's library, which only UNAVAILABLE would cause."""
        return self.pushback == ("-1" if self.error.code is UNAVAILABLE else "")

    @property
    def kinds(self) -> list[str | None]:
        """The kinds of the events."""
        return [event.WhichOneof("kind") for event in self.events]

    @property
    def interruption(self) -> interruption_pb2.Interruption:
        """The progress, from the details of the status."""
        assert self.error.interruption is not None
        return self.error.interruption


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that succeeded, by either RPC: its content, and how it ended."""

    text: str
    end: events_pb2.Completed | completion_pb2.CompleteResponse
    events: list[events_pb2.StreamCompleteResponse]


class CheckedServer:
    """A server that is called by either RPC, and keeps everything that callers saw of failures."""

    def __init__(self, running: RunningServer) -> None:
        self.running = running
        self.shown_bytes: list[bytes] = []

    async def answer(self, rpc: str, **fields: Any) -> Answer:
        """Makes a call that must succeed."""
        client, request = self.running.client(), a_wire_request(PROMPT, **fields)
        if rpc == "Complete":
            response = await client.complete(request)
            return Answer("".join(part.text for part in response.message.content), response, [])
        events: list[events_pb2.StreamCompleteResponse] = []
        await collect_events(client, request, events)
        return Answer("".join(event.content_delta.text for event in events), events[-1].completed, events)

    async def failure(
        self, rpc: str, *, timeout_seconds: float | None = None, gate: Gate | None = None, **fields: Any
    ) -> Failure:
        """Makes a call that must fail; after each event, the gate lets the upstream take one more step."""
        client, request = self.running.client(), a_wire_request(PROMPT, **fields)
        events: list[events_pb2.StreamCompleteResponse] = []
        call = (
            client.complete(request, timeout_seconds=timeout_seconds)
            if rpc == "Complete"
            else collect_events(client, request, events, timeout_seconds, gate)
        )
        with pytest.raises(CallFailed) as failed:
            await call
        return self.record_failure(failed.value, events)

    def record_failure(self, error: CallFailed, events: list[events_pb2.StreamCompleteResponse]) -> Failure:
        """Records everything that the caller sees of a failure."""
        cause = error.__cause__
        assert isinstance(cause, grpc.aio.AioRpcError)
        trailers = dict(cause.trailing_metadata() or ())
        self.shown_bytes += [value.encode() if isinstance(value, str) else value for value in trailers.values()]
        self.shown_bytes += [error.message.encode(), str(error).encode()]
        status = Status()
        status.ParseFromString(bytes(trailers.get("grpc-status-details-bin", b"")))
        details = [detail.type_url.rpartition(".")[2] for detail in status.details]
        pushback = trailers.get("grpc-retry-pushback-ms", "")
        assert isinstance(pushback, str)
        return Failure(events, error, details, pushback)


async def collect_events(
    client: ReasoningClient,
    request: completion_pb2.CompleteRequest,
    events: list[events_pb2.StreamCompleteResponse],
    timeout_seconds: float | None = None,
    gate: Gate | None = None,
) -> None:
    """Appends the events of a stream."""
    async for event in client.stream(request, timeout_seconds=timeout_seconds):
        events.append(event)
        if gate is not None:
            gate.open()


CheckedServing = Callable[..., AbstractAsyncContextManager[CheckedServer]]


def progress(failure: Failure, **fields: Any) -> interruption_pb2.Interruption:
    """Returns the interruption that this failure must have; its response id must only be that of the stream."""
    response_id = failure.events[0].started.response_id if failure.events else failure.interruption.response_id
    assert response_id.startswith("rsp_")
    return interruption_pb2.Interruption(response_id=response_id, model_call_count=1, **fields)


def make_estimated_usage(input_tokens: int, output_tokens: int) -> usage_pb2.Usage:
    """Returns a usage that the server had to estimate."""
    return usage_pb2.Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        source=usage_pb2.USAGE_SOURCE_ESTIMATED,
    )


def numbered_chunk(number: int) -> dict[str, Any]:
    """Returns the chunk of one delta of content."""
    return chunk({"content": numbered(number + 1)[number]})


def content_texts(events: Iterable[events_pb2.StreamCompleteResponse]) -> list[str]:
    """Returns the deltas of content among the events."""
    return [event.content_delta.text for event in events if event.WhichOneof("kind") == "content_delta"]
