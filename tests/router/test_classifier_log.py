"""The log of calls that the classifier decided."""

from typing import Any

import pytest

from reasoning_grpc.config import ClassifierEntry
from reasoning_grpc.v1 import classification_pb2
from tests.support.classification import AUTO, classify
from tests.support.factories import a_wire_request
from tests.support.serving import judging_config, serving
from tests.support.upstream import FakeUpstream


async def test_the_log_has_the_decision(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of each call has the route, its source, the tokens and the classifier's flaw, without content."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    judge.reply("secret nonsense")
    judge.always.reply("secret nonsense")

    async with serving(judging_config(upstream, judge)) as running:
        await classify(running, text="secret question", **AUTO)
        await running.client().complete(a_wire_request(text="secret question", **AUTO))

    lines = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    for line in lines:
        assert (line["route"], line["mode"]) == ("passthrough", "PASSTHROUGH")
        assert (line["route_source"], line["classifier_failure"]) == ("CLASSIFIER_FALLBACK", "NOT_JSON")
    assert [line["input_tokens"] for line in lines] == [22, 33]
    assert "secret" not in str(lines)


async def test_the_log_of_a_cancelled_call_has_its_usage(
    upstream: FakeUpstream, judge: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    """The tokens of a cancelled classification are estimated, and stand in the log."""
    caplog.set_level("INFO", "reasoning_grpc.calls")
    judge.always.hang_after(1)
    entry = ClassifierEntry(model="judge", timeout_seconds=600)

    async with serving(judging_config(upstream, judge, classifier=entry)) as running:
        stub: Any = running.stub
        call = stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(**AUTO)))
        await judge.request()
        call.cancel()
        await judge.disconnect()

    (line,) = [vars(record) for record in caplog.records if record.name == "reasoning_grpc.calls"]
    assert (line["code"], line["usage_source"]) == ("CANCELLED", "ESTIMATED")
    assert line["input_tokens"] > 50
