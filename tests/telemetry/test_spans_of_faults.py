"""No fault of an upstream brings a prompt, a key or a text of the upstream into a span."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from reasoning_grpc.config import ClassifierEntry
from tests.support.agent import reasoning_request
from tests.support.checked_server import PROMPT
from tests.support.classification import AUTO
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.otlp import OtlpReceiver
from tests.support.serving import UPSTREAM_KEY, judging_config
from tests.support.spans import COMPLETE, STREAM_COMPLETE, Tracing
from tests.support.upstream import UPSTREAM_SECRET, FakeUpstream
from tests.support.upstream_faults import EVERY_FAULT, UpstreamFault
from tests.support.wire_calls import expect_failure, read_to_end

pytestmark = pytest.mark.thorough


@EVERY_FAULT
async def test_no_span_of_a_fault_shows_a_secret(
    tracing: Tracing, receiver: OtlpReceiver, upstream: FakeUpstream, judge: FakeUpstream, fault: UpstreamFault
) -> None:
    """The spans of both RPCs, of a run of the agent and of a classification have the fault's reason, and no secret."""
    for fake in (upstream, judge):
        fault.misbehave(fake.always)
    config = judging_config(upstream, judge, classifier=ClassifierEntry(model="judge", timeout_seconds=60.0))
    settings = replace(config.settings, max_retries=0, **fault.limit_time(0.5))

    async with tracing(replace(config, settings=settings)) as running:
        stub: Any = running.stub
        await asyncio.gather(
            expect_failure(stub.Complete(a_wire_request(PROMPT))),
            expect_failure(read_to_end(stub.StreamComplete(a_stream_request(PROMPT)))),
            expect_failure(stub.Complete(reasoning_request(PROMPT))),
            expect_failure(stub.Complete(a_wire_request(PROMPT, **AUTO))),
        )

    by_name = {
        name: [span.attributes.get("error.type") for span in receiver.spans if span.name == name]
        for name in (COMPLETE, STREAM_COMPLETE, "chat fake", "chat judge")
    }
    assert by_name == {
        COMPLETE: [fault.reason] * 3,
        STREAM_COMPLETE: [fault.reason],
        "chat fake": [fault.reason] * 4,
        "chat judge": [fault.reason],
    }
    exported = b"".join(receiver.raw)
    for secret in (UPSTREAM_KEY, UPSTREAM_SECRET, PROMPT):
        assert secret.encode() not in exported
